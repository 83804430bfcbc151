r"""The formulas of the tables, read from their LaTeX.

    formula       alternatives, with \quad\text{or}\quad between them: one for each choice of a parameter
    alternative   clauses, with ", \quad" between them: first what is stated, then what its symbols mean
    clause        an equation, maybe of several members; or one of three sentences

`read` accepts only the LaTeX that the rows use. `lines.py` evaluates formulas and writes them.
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
class Float:
    """A float64 that was substituted for a name."""

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
    """A sum that several lines share. `known` caches its values, by the digits of its numbers and the precision."""

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
    r"""\sum_k or \max_k over the elements of the vectors with that index, except for the index `without`."""

    operation: str
    index: str
    without: str | None
    body: "Node"


@dataclass(frozen=True)
class Relation:
    """A chain of equations and inequalities, such as x < y = z."""

    members: tuple["Node", ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Joined:
    """Two relations with "and" or "or" between them."""

    word: str
    sides: tuple["Node", "Node"]


@dataclass(frozen=True)
class Cases:
    """Values, each with its condition; None is "otherwise"."""

    rows: tuple[tuple["Node", "Node | None"], ...]


Node = Number | Float | Name | Minus | Sum | Product | Quotient | Power | Call | Across | Relation | Joined | Cases


@dataclass(frozen=True)
class Counted:
    r"""K \text{ units have } o_k > 0."""

    symbol: str
    condition: Relation


@dataclass(frozen=True)
class First:
    r"""m \text{ is the first with the largest } o_m."""

    index: str
    body: Node


@dataclass(frozen=True)
class Layout:
    r"""o = (m_0, s_0, m_1, s_1, \dots): the names that alternate in a vector."""

    vector: str
    names: tuple[str, ...]


Clause = Relation | Counted | First | Layout


@dataclass(frozen=True)
class Formula:
    """An equation, maybe of several members, or two for outputs in pairs; and clauses that define its symbols."""

    equations: tuple[Relation, ...]
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
    r"""Parse a formula of the tables; `alternative` is the index of one among several joined by \quad\text{or}\quad.

    Raises ValueError for LaTeX that no row uses.
    """
    text = latex.split(r"\quad\text{or}\quad")[alternative]
    clauses = [_clause(part.strip()) for part in text.split(r", \quad")]
    equations = tuple(clause for clause in clauses if isinstance(clause, Relation) and _is_stated(clause, clauses[0]))
    return Formula(equations, tuple(clause for clause in clauses if clause not in equations))


def _is_stated(clause: Relation, first: Clause) -> bool:
    """Whether a clause is an equation of the formula: the first clause is, and so is every other derivative."""
    return clause is first or isinstance(clause.members[0], Quotient)


def _clause(text: str) -> Clause:
    if layout := re.fullmatch(r"(\w) = \((.*), \\dots\)", text):
        names = [item[:-2] for item in layout[2].split(", ") if item.endswith("_0")]
        return Layout(layout[1], tuple(names))
    if COUNT in text:
        symbol, condition = text.split(COUNT)
        return Counted(symbol.strip(), _relation(condition))
    if FIRST in text:
        index, body = text.split(FIRST)
        return First(index.strip(), _Reader(body).sum())
    return _relation(text)


def _relation(text: str) -> Relation:
    reader = _Reader(text)
    found = reader.relation()
    reader.expect("")
    return found


class _Reader:
    """A recursive-descent parser: each method reads what it is named after, and stops before the next token."""

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

    def relation(self) -> Relation:
        members, signs = [self.sum()], []
        while self.next in _SIGNS:
            signs.append(self.take())
            members.append(self.sum())
        return Relation(tuple(members), tuple(signs))

    def condition(self) -> Node:
        found: Node = self.relation()
        for word in ("and", "or"):
            if self.accept(rf"\text{{ {word} }}"):
                return Joined(word, (found, self.relation()))
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
