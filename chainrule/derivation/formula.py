r"""The formulas of the tables, read from their LaTeX.

    formula       alternatives, with \quad\text{or}\quad between them: one for each choice of a parameter
    alternative   clauses, with ", \quad" between them: first what is stated, then what its symbols mean
    clause        an equation, maybe of several members; or one of three sentences

`read` knows what the rows use, and no more. What is done with a formula stands in `figures.py`.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

# What a formula is made of.


@dataclass(frozen=True)
class Number:
    """A number of the formula itself."""

    digits: str


@dataclass(frozen=True)
class Given:
    """A number that was put in."""

    value: float


@dataclass(frozen=True)
class Name:
    """A symbol, or an element of a vector: o, o_j, δ_jm."""

    symbol: str
    indices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Minus:
    """-x."""

    of: "Node"


@dataclass(frozen=True)
class Sum:
    """x + y + z; a difference has a Minus in it."""

    terms: tuple["Node", ...]


@dataclass(frozen=True)
class CommonSum(Sum):
    """A sum that several lines have in common, and its values: by the digits of its numbers and the precision."""

    known: dict[tuple[int, int], Decimal] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Product:
    """x y z."""

    factors: tuple["Node", ...]


@dataclass(frozen=True)
class Quotient:
    """x over y, as a fraction or with a slash."""

    top: "Node"
    bottom: "Node"
    slash: bool = False


@dataclass(frozen=True)
class Power:
    """x to the power of y."""

    base: "Node"
    exponent: "Node"


@dataclass(frozen=True)
class Call:
    """A function of one number, or the largest or smallest of several."""

    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True)
class Across:
    r"""\sum_k or \max_k, over all elements of the vectors with that index, `without` one."""

    operation: str
    index: str
    without: str | None
    body: "Node"


@dataclass(frozen=True)
class Comparison:
    """x < y = z, in any number."""

    members: tuple["Node", ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """Two comparisons with "and" or "or" between them."""

    word: str
    sides: tuple["Node", "Node"]


@dataclass(frozen=True)
class Cases:
    """Values, each with its condition; None is "otherwise"."""

    rows: tuple[tuple["Node", "Node | None"], ...]


Node = Number | Given | Name | Minus | Sum | Product | Quotient | Power | Call | Across | Comparison | Joined | Cases


@dataclass(frozen=True)
class Counted:
    r"""K \text{ units have } o_k > 0."""

    symbol: str
    condition: Comparison


@dataclass(frozen=True)
class First:
    r"""m \text{ is the first with the largest } o_m."""

    index: str
    body: Node


@dataclass(frozen=True)
class Layout:
    r"""o = (m_0, s_0, m_1, s_1, \dots): the names that take turns in a vector."""

    vector: str
    turns: tuple[str, ...]


Clause = Comparison | Counted | First | Layout


@dataclass(frozen=True)
class Formula:
    """What is stated: an equation, maybe of several members, or two for outputs in pairs; and what its symbols mean."""

    equations: tuple[Comparison, ...]
    clauses: tuple[Clause, ...] = ()


# From LaTeX.

_TOKEN = re.compile(
    r"\\text\{([^{}]*)\}|\\(?:begin|end)\{cases\}|\\left|\\right|\\,|\\\\|\\[A-Za-z]+|\d+(?:\.\d+)?|[A-Za-z]|\S"
)
_SIGNS = ("=", "<", ">", r"\le", r"\ge", r"\ne")
CONSTANTS = ("e", r"\pi")
_CALLS = (r"\log", r"\sin", r"\cos", r"\tanh", r"\cosh", r"\arctan", r"\Phi", r"\sigma")
_ACROSS = (r"\sum", r"\max", r"\min")
_ENDS = {"", "+", "-", "/", ")", "}", ",", "&", r"\\", r"\end{cases}", r"\quad", *_SIGNS}
COUNT, FIRST = r" \text{ units have }", r" \text{ is the first with the largest }"


@functools.cache
def read(latex: str, alternative: int = 0) -> Formula:
    r"""A formula of the tables; of several, with \quad\text{or}\quad between them, the one of that number.

    Raises ValueError for LaTeX that no row has.
    """
    text = latex.split(r"\quad\text{or}\quad")[alternative]
    clauses = [_clause(part.strip()) for part in text.split(r", \quad")]
    equations = tuple(clause for clause in clauses if isinstance(clause, Comparison) and _is_stated(clause, clauses[0]))
    return Formula(equations, tuple(clause for clause in clauses if clause not in equations))


def _is_stated(clause: Comparison, first: Clause) -> bool:
    """Whether a clause says what the formula is for: the first one does, and every other derivative."""
    return clause is first or isinstance(clause.members[0], Quotient)


def _clause(text: str) -> Clause:
    if layout := re.fullmatch(r"(\w) = \((.*), \\dots\)", text):
        turns = [item[:-2] for item in layout[2].split(", ") if item.endswith("_0")]
        return Layout(layout[1], tuple(turns))
    if COUNT in text:
        symbol, condition = text.split(COUNT)
        return Counted(symbol.strip(), _comparison(condition))
    if FIRST in text:
        index, body = text.split(FIRST)
        return First(index.strip(), _Reader(body).sum())
    return _comparison(text)


def _comparison(text: str) -> Comparison:
    reader = _Reader(text)
    found = reader.comparison()
    reader.expect("")
    return found


class _Reader:
    """By recursive descent: each method takes what it is called, and stops before what does not belong to it."""

    def __init__(self, latex: str) -> None:
        found = [match[0] for match in _TOKEN.finditer(latex)]
        self.rest = [token for token in reversed(found) if token not in (r"\,", r"\left", r"\right")]
        self.between_bars = False

    @property
    def next(self) -> str:
        return self.rest[-1] if self.rest else ""

    def take(self) -> str:
        if not self.rest:
            raise ValueError("more expected before the end")
        return self.rest.pop()

    def accept(self, token: str) -> bool:
        if self.next != token:
            return False
        if token:
            self.take()
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise ValueError(f"{token or 'the end'} expected before {self.next or 'the end'}")

    def comparison(self) -> Comparison:
        members, signs = [self.sum()], []
        while self.next in _SIGNS:
            signs.append(self.take())
            members.append(self.sum())
        return Comparison(tuple(members), tuple(signs))

    def condition(self) -> Node:
        found: Node = self.comparison()
        for word in ("and", "or"):
            if self.accept(rf"\text{{ {word} }}"):
                return Joined(word, (found, self.comparison()))
        return found

    def sum(self) -> Node:
        terms: list[Node] = [Minus(self.product()) if self.accept("-") else self.product()]
        while self.next in ("+", "-"):
            sign = self.take()
            terms.append(self.product() if sign == "+" else Minus(self.product()))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def product(self) -> Node:
        factors = [self.power()]
        while self.next not in _ENDS and not self.next.startswith(r"\text") and not self.at_a_closing_bar():
            factors.append(self.power())
        found = factors[0] if len(factors) == 1 else Product(tuple(factors))
        return Quotient(found, self.power(), slash=True) if self.accept("/") else found

    def at_a_closing_bar(self) -> bool:
        return self.next == "|" and self.between_bars

    def power(self) -> Node:
        base = self.atom()
        if not self.accept("^"):
            return base
        if self.accept("{"):
            return Power(base, self.inside("}"))
        return Power(base, self.atom())

    def inside(self, end: str) -> Node:
        outside, self.between_bars = self.between_bars, end == "|"
        found = self.sum()
        self.expect(end)
        self.between_bars = outside
        return found

    def braces(self) -> Node:
        self.expect("{")
        return self.inside("}")

    def atom(self) -> Node:
        token = self.take()
        if token[0].isdigit():
            return Number(token)
        rules: dict[str, Callable[[], Node]] = {
            "(": lambda: self.inside(")"),
            "|": lambda: Call("|", (self.inside("|"),)),
            r"\frac": lambda: Quotient(self.braces(), self.braces()),
            r"\sqrt": lambda: Call(token, (self.braces(),)),
            r"\begin{cases}": self.cases,
        }
        if token in rules:
            return rules[token]()
        if token in _ACROSS and self.next == "_":
            return self.across(token)
        return Call(token, self.arguments()) if token in (*_CALLS, *_ACROSS) else self.name(token)

    def arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        found = [self.sum()]
        while self.accept(","):
            found.append(self.sum())
        self.expect(")")
        return tuple(found)

    def across(self, operation: str) -> Across:
        self.expect("_")
        without = None
        if self.accept("{"):
            index = self.take()
            self.expect(r"\ne")
            without = self.take()
            self.expect("}")
        else:
            index = self.take()
        body = self.product() if operation == r"\sum" else self.arguments()[0]
        return Across(operation, index, without, body)

    def name(self, symbol: str) -> Name:
        if not self.accept("_"):
            return Name(symbol)
        indices = [self.take()]
        if indices == ["{"]:
            indices = []
            while not self.accept("}"):
                indices.append(self.take())
        return Name(symbol, tuple(indices))

    def cases(self) -> Cases:
        rows: list[tuple[Node, Node | None]] = []
        while not rows or self.accept(r"\\"):
            value = self.sum()
            self.expect("&")
            rows.append((value, None if self.accept(r"\text{otherwise}") else self.condition()))
        self.expect(r"\end{cases}")
        return Cases(tuple(rows))
