"""Tables behind `runtime.show.latex`: commands, superscripts and subscripts in Unicode."""

from __future__ import annotations

_GREEK = (
    "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ "
    "mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi φ varphi φ chi χ "
    "psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω"
)
_ORDINARY = (
    "infty ∞ partial ∂ nabla ∇ hbar ℏ ell ℓ Re ℜ Im ℑ aleph ℵ emptyset ∅ varnothing ∅ forall ∀ exists ∃ nexists ∄ "
    "neg ¬ lnot ¬ top ⊤ bot ⊥ angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■ diamond ⋄ bigstar ★ "
    "star ⋆ circ ∘ bullet • degree ° prime ′ ldots … dots … cdots ⋯ vdots ⋮ ddots ⋱ dotsc … dotsb ⋯ cdot · "
    "checkmark ✓ dagger † ddagger ‡ S § P ¶ pounds £ copyright © euro € imath ı jmath ȷ "
    "sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ surd √ "
    "lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ langle ⟨ rangle ⟩ lvert | rvert | vert | mid ∣ Vert ‖ lVert ‖ rVert ‖ | ‖ "
    "lbrace { rbrace } lbrack [ rbrack ] backslash \\ colon :"
)
_BINARY = (
    "times × div ÷ pm ± mp ∓ ast ∗ cup ∪ cap ∩ sqcup ⊔ sqcap ⊓ vee ∨ lor ∨ wedge ∧ land ∧ setminus ∖ oplus ⊕ "
    "ominus ⊖ otimes ⊗ odot ⊙ uplus ⊎ wr ≀ amalg ⨿"
)
_RELATIONS = (
    "leq ≤ le ≤ leqslant ≤ geq ≥ ge ≥ geqslant ≥ neq ≠ ne ≠ lt < gt > ll ≪ gg ≫ equiv ≡ approx ≈ approxeq ≊ sim ∼ "
    "simeq ≃ cong ≅ propto ∝ doteq ≐ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ in ∈ notin ∉ ni ∋ "
    "parallel ∥ nparallel ∦ perp ⊥ prec ≺ succ ≻ preceq ⪯ succeq ⪰ vdash ⊢ models ⊨ nmid ∤ because ∵ therefore ∴ "
    "to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ iff ⇔ "
    "implies ⇒ impliedby ⇐ longrightarrow ⟶ longleftarrow ⟵ Longrightarrow ⟹ Longleftarrow ⟸ mapsto ↦ longmapsto ⟼ "
    "uparrow ↑ downarrow ↓ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ hookrightarrow ↪ rightleftharpoons ⇌ "
    "coloneqq ≔ triangleq ≜ lesssim ≲ gtrsim ≳"
)
_FUNCTIONS = (
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth ln log lg exp lim limsup liminf max min sup inf "
    "gcd lcm det dim ker deg hom arg Pr"
)


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYMBOLS = _pairs(_GREEK) | _pairs(_ORDINARY)
BINARY = _pairs(_BINARY)
RELATIONS = _pairs(_RELATIONS)
"""Operators and relations are set apart by spaces, as LaTeX sets them."""
FUNCTIONS = frozenset(_FUNCTIONS.split())
SPACES = {",": " ", ":": " ", ";": " ", ">": " ", " ": " ", "!": "", "quad": "  ", "qquad": "    ", "/": "",
          "enspace": " ", "thinspace": " ", "nobreakspace": " ", "newline": "\n", "hfill": "  "}  # fmt: skip
IGNORED = frozenset(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr middle displaystyle textstyle "
    "scriptstyle limits nolimits mathstrut strut nonumber notag centering hline allowbreak relax protect".split()
)
"""Commands that change how a formula is set, not what it says."""
WRAPPERS = frozenset(
    "text textrm textbf textit textsf texttt textnormal textup mathrm mathbf mathit mathsf mathtt mathnormal "
    "boldsymbol bm pmb operatorname emph mbox hbox fbox underline displaylines ensuremath smash "
    "mathop mathbin mathrel mathord substack".split()
)
"""Commands whose argument is shown as it is."""
VERBATIM = frozenset("text textrm textbf textit textsf texttt textnormal textup mbox hbox fbox emph".split())
"""Those of `WRAPPERS` whose argument is prose, where a space is a space."""
DROPPED = frozenset("label tag phantom hphantom vphantom vspace hspace color ref require cline".split())
"""Commands that vanish together with their argument."""
ACCENTS = {"overline": "\u0305", "bar": "\u0304", "vec": "\u20d7", "overrightarrow": "\u20d7", "hat": "\u0302",
           "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303", "dot": "\u0307", "ddot": "\u0308",
           "acute": "\u0301", "grave": "\u0300", "check": "\u030c", "breve": "\u0306"}  # fmt: skip
BLACKBOARD = {"N": "ℕ", "Z": "ℤ", "Q": "ℚ", "R": "ℝ", "C": "ℂ", "P": "ℙ", "H": "ℍ", "E": "𝔼", "F": "𝔽", "1": "𝟙"}
SUPERSCRIPTS = dict(
    zip(
        "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδεθφχ′°∘*",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᵋᶿᵠᵡ′°°*",
        strict=True,
    )
)
SUBSCRIPTS = dict(zip("0123456789+-−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
ROOTS = {"2": "√", "3": "∛", "4": "∜"}
BRACKETS = {"matrix": "[]", "pmatrix": "()", "bmatrix": "[]", "Bmatrix": "{}", "vmatrix": "||", "Vmatrix": "‖‖",
            "smallmatrix": "[]", "array": "[]", "cases": ("{", ""), "dcases": ("{", ""),
            "rcases": ("", "}")}  # fmt: skip
"""Environments laid out as rows between brackets; every other one becomes lines."""
