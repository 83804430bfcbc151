r"""The LaTeX of the tables, read and computed with 40 digits, so that a formula can be held to the code it stands for.

    statement     alternatives, with \quad\text{or}\quad between them
    alternative   clauses, with ", \quad" between them: first what is stated, then what its symbols mean
    clause        an equation, which may be chained; or one of the three sentences of PROSE
    product       factors side by side; at most one "/", which ends it; \sum takes the whole product that follows

Only what the rows use is known. Everything else is a LatexError: an unknown command, a symbol without a value, a symbol
that means two things, cases that overlap or leave a gap, a number that is not real.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import mpmath

REALS = mpmath.mp.clone()  # a context of our own: nobody else's precision changes
REALS.dps = 40
Real = mpmath.mpf


class LatexError(ValueError):
    """This LaTeX is not understood, or has no value."""


# What the symbols stand for.


@dataclass(frozen=True)
class Values:
    """The numbers, the vectors, and the indices, each under its name in LaTeX."""

    numbers: Mapping[str, Real] = field(default_factory=dict)
    vectors: Mapping[str, Sequence[Real]] = field(default_factory=dict)
    indices: Mapping[str, int] = field(default_factory=dict)

    def plus(self, **more: Mapping[str, Any]) -> "Values":
        """These and more. A name that has a value already keeps it: another one is an error."""
        merged = {kind: _merged(getattr(self, kind), given) for kind, given in more.items()}
        return Values(**{**vars(self), **merged})


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    for name in new:
        if name in CONSTANTS or old.get(name, new[name]) != new[name]:
            raise LatexError(f"{name} means two things")
    return {**old, **new}


def _looked_up(name: str, table: Mapping[str, Any], kind: str) -> Any:
    if name not in table:
        raise LatexError(f"{name} has no value as {kind}")
    return table[name]


def _real(number: Any) -> Real:
    if not isinstance(number, REALS.mpf) or not REALS.isfinite(number):
        raise LatexError(f"{number} is no real number")
    return number


# The tree.


class Node:
    """A part of a formula. Two that are written alike are equal."""

    def value(self, values: Values) -> Any:
        """The number that it is; True or False for a condition."""
        raise LatexError(f"{self} is no number")


@dataclass(frozen=True)
class Number(Node):
    """A decimal number, taken as the decimal it is."""

    digits: str

    def value(self, values: Values) -> Real:
        return REALS.mpf(self.digits)


@dataclass(frozen=True)
class Symbol(Node):
    """A name of a number, or a constant."""

    name: str

    def value(self, values: Values) -> Real:
        return CONSTANTS[self.name]() if self.name in CONSTANTS else _looked_up(self.name, values.numbers, "a number")


@dataclass(frozen=True)
class Element(Node):
    r"""One number of a vector, o_j; with two indices Kronecker's \delta_{jm}."""

    name: str
    indices: tuple[str, ...]

    def value(self, values: Values) -> Real:
        at = [int(i) if i.isdigit() else _looked_up(i, values.indices, "an index") for i in self.indices]
        if len(at) == 2 and self.name == r"\delta":
            return REALS.mpf(at[0] == at[1])
        vector = _looked_up(self.name, values.vectors, "a vector")
        if len(at) != 1 or at[0] >= len(vector):
            raise LatexError(f"{self.name} has no element {self.indices}")
        return vector[at[0]]


@dataclass(frozen=True)
class Negative(Node):
    """-x."""

    of: Node

    def value(self, values: Values) -> Real:
        return -self.of.value(values)


@dataclass(frozen=True)
class Plus(Node):
    """x + y."""

    left: Node
    right: Node

    def value(self, values: Values) -> Real:
        return self.left.value(values) + self.right.value(values)


@dataclass(frozen=True)
class Times(Node):
    """x y."""

    left: Node
    right: Node

    def value(self, values: Values) -> Real:
        return self.left.value(values) * self.right.value(values)


@dataclass(frozen=True)
class Over(Node):
    """x / y, or a fraction."""

    top: Node
    bottom: Node

    def value(self, values: Values) -> Real:
        bottom = self.bottom.value(values)
        if bottom == 0:
            raise LatexError("a division by 0")
        return self.top.value(values) / bottom


@dataclass(frozen=True)
class Power(Node):
    """x^y."""

    base: Node
    exponent: Node

    def value(self, values: Values) -> Real:
        exponent = self.exponent.value(values)
        if self.base == Symbol("e"):
            return REALS.exp(exponent)
        base = self.base.value(values)
        if base == 0 and exponent < 0:
            raise LatexError("a division by 0")
        return _real(base**exponent)


@dataclass(frozen=True)
class Call(Node):
    r"""A function of one number, or \max and \min of several."""

    function: str
    arguments: tuple[Node, ...]

    def value(self, values: Values) -> Real:
        numbers = [argument.value(values) for argument in self.arguments]
        if self.function == r"\log" and numbers[0] == 0:
            raise LatexError("the logarithm of 0")
        return _real(FUNCTIONS[self.function](*numbers))


@dataclass(frozen=True)
class Across(Node):
    r"""\sum_k, \max_k or \min_k of what follows, over the length of the vectors in it that have this index."""

    operation: str
    index: str
    without: str | None  # k \ne j
    body: Node

    def value(self, values: Values) -> Real:
        if self.index in values.indices:
            raise LatexError(f"{self.index} means two things")
        left_out = None if self.without is None else _looked_up(self.without, values.indices, "an index")
        places = [k for k in range(length(self.body, self.index, values)) if k != left_out]
        return ACROSS[self.operation](self.body.value(values.plus(indices={self.index: k})) for k in places)


@dataclass(frozen=True)
class Relation(Node):
    """x = y, or a chain such as -1 < a < 1."""

    members: tuple[Node, ...]
    signs: tuple[str, ...]

    def value(self, values: Values) -> bool:
        numbers = [member.value(values) for member in self.members]
        return all(SIGNS[sign](*pair) for sign, *pair in zip(self.signs, numbers, numbers[1:], strict=False))


@dataclass(frozen=True)
class Both(Node):
    """Two conditions, joined by "and" or "or"."""

    word: str
    left: Node
    right: Node

    def value(self, values: Values) -> bool:
        sides = self.left.value(values), self.right.value(values)
        return all(sides) if self.word == "and" else any(sides)


@dataclass(frozen=True)
class Cases(Node):
    """Values, each with its condition; None, which only the last may have, is "otherwise"."""

    rows: tuple[tuple[Node, Node | None], ...]

    def value(self, values: Values) -> Real:
        found = [node for node, condition in self.rows if condition is not None and condition.value(values)]
        if not found and self.rows[-1][1] is None:
            found = [self.rows[-1][0]]
        if len(found) != 1:
            raise LatexError(f"{len(found)} of the cases hold")
        return found[0].value(values)


@dataclass(frozen=True)
class Tuple(Node):
    r"""(m_0, s_0, m_1, s_1, \dots)."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Count(Node):
    r"""K \text{ units have } o_k > 0."""

    name: str
    condition: Node


@dataclass(frozen=True)
class First(Node):
    r"""m \text{ is the first with the largest } o_m."""

    index: str
    body: Node


@dataclass(frozen=True)
class Where(Node):
    r"""0 \text{ where } \ell = 0: a value that holds under a condition."""

    stated: Node
    condition: Node


def walk(part: Any) -> Iterator[Node]:
    """A node and all below it."""
    if isinstance(part, tuple):
        for item in part:
            yield from walk(item)
    elif isinstance(part, Node):
        yield part
        for each in fields(part):  # type: ignore[arg-type]
            yield from walk(getattr(part, each.name))


def length(body: Node, index: str, values: Values) -> int:
    """How long the vectors are that have this index."""
    lengths = {len(_looked_up(name, values.vectors, "a vector")) for name in _vectors(body, index)}
    if len(lengths) != 1:
        raise LatexError(f"{index} runs over vectors of lengths {lengths or 'unknown'}")
    return lengths.pop()


@functools.cache
def _vectors(body: Node, index: str) -> frozenset[str]:
    return frozenset(node.name for node in walk(body) if isinstance(node, Element) and node.indices == (index,))


CONSTANTS: dict[str, Callable[[], Real]] = {"e": lambda: +REALS.e, r"\pi": lambda: +REALS.pi}
FUNCTIONS: dict[str, Callable[..., Real]] = {
    r"\log": REALS.log,
    r"\sin": REALS.sin,
    r"\cos": REALS.cos,
    r"\tanh": REALS.tanh,
    r"\cosh": REALS.cosh,
    r"\arctan": REALS.atan,
    r"\sqrt": REALS.sqrt,
    r"\Phi": REALS.ncdf,
    r"\sigma": lambda x: 1 / (1 + REALS.exp(-x)),
    "|": abs,
    r"\max": max,
    r"\min": min,
}
ACROSS: dict[str, Callable[[Iterator[Real]], Real]] = {r"\sum": REALS.fsum, r"\max": max, r"\min": min}
SIGNS: dict[str, Callable[[Real, Real], bool]] = {
    "=": lambda x, y: x == y,
    "<": lambda x, y: x < y,
    ">": lambda x, y: x > y,
    r"\le": lambda x, y: x <= y,
    r"\ge": lambda x, y: x >= y,
    r"\ne": lambda x, y: x != y,
}
GREEK = {
    *(r"\alpha", r"\beta", r"\gamma", r"\delta", r"\epsilon", r"\theta", r"\kappa", r"\lambda", r"\pi", r"\tau"),
    r"\ell",
}
PROSE = ("units have", "is the first with the largest", "where")
BRACKETS = {"(": ")", r"\left(": r"\right)", "{": "}", "|": "|"}


# From LaTeX to the tree.

_TOKEN = re.compile(
    r"\\text\{[^{}\\$]*\}|\\(?:begin|end)\{cases\}|\\left\(|\\right\)|\\[A-Za-z]+|\\\\|\\,|\d+(?:\.\d+)?|[A-Za-z]"
    r"|[-+/=<>|(){}^_,&]|\s+"
)
_KNOWN = {r"\\", r"\cdot", r"\quad", r"\frac", r"\dots", r"\begin{cases}", r"\end{cases}", r"\left(", r"\right)"}
_KNOWN |= GREEK | FUNCTIONS.keys() | ACROSS.keys() | SIGNS.keys()
_FACTORS = GREEK | FUNCTIONS.keys() | ACROSS.keys() | {"(", r"\left(", r"\frac", r"\begin{cases}"}


def tokens(latex: str) -> list[str]:
    """The commands, letters, numbers and signs. Spaces mean nothing, thin ones either."""
    found, at = [], 0
    while at < len(latex):
        match = _TOKEN.match(latex, at)
        if match is None:
            raise LatexError(f"{latex[at:]!r} is not understood")
        found.append(match[0])
        at = match.end()
    for token in found:
        if token[0] == "\\" and token not in _KNOWN and token != r"\," and not token.startswith(r"\text{"):
            raise LatexError(f"{token} is not known")
    return [token for token in found if token.strip() and token != r"\,"]


Clause = Node
Alternative = tuple[Clause, ...]


@functools.cache
def parse(latex: str) -> tuple[Alternative, ...]:
    """The alternatives of a statement, each with its clauses."""
    return _Parser(latex).statement()


class _Parser:
    """By recursive descent: each method reads what it is called, and stops before what does not belong to it."""

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.rest = ["", *reversed(tokens(latex))]  # the last is the next; "" is the end
        self.between_bars = False

    @property
    def next(self) -> str:
        return self.rest[-1]

    def take(self) -> str:
        return self.rest.pop() if self.next else self.fail("more")

    def accept(self, *wanted: str) -> bool:
        """Whether the next tokens are these; they are taken then."""
        there = self.rest[-len(wanted) :] == [*reversed(wanted)]
        if there:
            del self.rest[-len(wanted) :]
        return there

    def expect(self, wanted: str) -> None:
        if not self.accept(wanted):
            self.fail(wanted)

    def fail(self, wanted: str) -> Any:
        raise LatexError(f"{wanted} expected before {' '.join(reversed(self.rest[1:])) or 'the end'} in {self.latex}")

    def word(self) -> str:
        """What the next token says, if it is text."""
        return self.next[6:-1].strip() if self.next.startswith(r"\text{") else ""

    # Statements.

    def statement(self) -> tuple[Alternative, ...]:
        found = [self.alternative()]
        while self.accept(r"\quad", r"\text{or}", r"\quad"):
            found.append(self.alternative())
        return tuple(found) if not self.next else self.fail("the end")

    def alternative(self) -> Alternative:
        found = [self.clause()]
        while self.accept(",", r"\quad"):
            found.append(self.clause())
        return tuple(found)

    def clause(self) -> Clause:
        stated = self.relation()
        if self.word() not in PROSE:
            return stated
        word = self.word()
        self.take()
        if word == "where":
            return Where(stated, self.condition())
        if not isinstance(stated, Symbol):
            self.fail("a symbol")
        return Count(stated.name, self.condition()) if word == PROSE[0] else First(stated.name, self.sum())

    # Conditions.

    def condition(self) -> Node:
        found = self.relation()
        while self.word() in ("and", "or"):
            word = self.word()
            self.take()
            if isinstance(found, Both) and found.word != word:
                self.fail("the same word")
            found = Both(word, found, self.relation())
        return found if isinstance(found, Both | Relation) else self.fail("a condition")

    def relation(self) -> Node:
        members, signs = [self.sum()], []
        while self.next in SIGNS:
            signs.append(self.take())
            members.append(self.sum())
        return Relation(tuple(members), tuple(signs)) if signs else members[0]

    def cases(self) -> Cases:
        rows: list[tuple[Node, Node | None]] = []
        while not rows or self.accept(r"\\"):
            if rows and rows[-1][1] is None:
                self.fail("no case after otherwise")
            value = self.sum()
            self.expect("&")
            otherwise = self.accept(r"\text{otherwise}")
            rows.append((value, None if otherwise else self.condition()))
        self.expect(r"\end{cases}")
        return Cases(tuple(rows))

    # Numbers.

    def sum(self) -> Node:
        found = Negative(self.product()) if self.accept("-") else self.product()
        while self.next in ("+", "-"):
            sign, term = self.take(), self.product()
            found = Plus(found, term if sign == "+" else Negative(term))
        return found

    def product(self) -> Node:
        found = self.power()
        while (dot := self.accept(r"\cdot")) or self.starts_a_factor():
            if self.next[0].isdigit() and not dot:
                self.fail("the number at the beginning of its product, not")
            found = Times(found, self.power())
        if self.accept("/"):
            found = Over(found, self.power())
            if self.starts_a_factor() or self.next == "/":
                self.fail("the end of the product after a slash")
        return found

    def starts_a_factor(self) -> bool:
        token = self.next
        if token == "|":
            return not self.between_bars
        return token[:1].isalnum() or token in _FACTORS

    def power(self) -> Node:
        base = self.atom()
        if not self.accept("^"):
            return base if base != Symbol("e") else self.fail("^ after e")
        if self.accept("{"):
            return Power(base, self.inside("{"))
        token = self.take()
        if not (len(token) == 1 and token.isalnum()) and token not in GREEK:
            self.fail(f"braces around {token}, or one digit or symbol,")
        return Power(base, Number(token) if token.isdigit() else Symbol(token))

    def atom(self) -> Node:
        token = self.take()
        if token[0].isdigit():
            return Number(token)
        if token.isalpha() or token in GREEK:
            return self.name(token)
        rules: dict[str, Callable[[], Node]] = {
            "(": lambda: self.group(token),
            r"\left(": lambda: self.group(token),
            "|": lambda: Call(token, (self.inside(token),)),
            r"\frac": lambda: Over(self.braces(), self.braces()),
            r"\sqrt": lambda: Call(token, (self.braces(),)),
            r"\begin{cases}": self.cases,
        }
        if token in rules:
            return rules[token]()
        if token in ACROSS and self.next == "_":
            return self.across(token)
        return self.call(token) if token in FUNCTIONS else self.fail(f"a number, not {token},")

    def inside(self, bracket: str) -> Node:
        """What stands between a bracket that has been taken and the one that closes it."""
        outside, self.between_bars = self.between_bars, bracket == "|"
        found = self.sum()
        self.expect(BRACKETS[bracket])
        self.between_bars = outside
        return found

    def braces(self) -> Node:
        self.expect("{")
        return self.inside("{")

    def several(self, bracket: str) -> tuple[Node, ...]:
        """What stands between brackets, with commas between."""
        outside, self.between_bars = self.between_bars, False
        found = [self.sum()]
        while self.accept(","):
            found.append(Symbol(self.take()) if self.next == r"\dots" else self.sum())
        self.expect(BRACKETS[bracket])
        self.between_bars = outside
        return tuple(found)

    def group(self, bracket: str) -> Node:
        found = self.several(bracket)
        return found[0] if len(found) == 1 else Tuple(found)

    def call(self, function: str) -> Call:
        arguments = self.arguments()
        if (len(arguments) > 1) != (function in ACROSS):
            self.fail(f"another number of arguments of {function}")
        return Call(function, arguments)

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
        if operation == r"\sum":
            return Across(operation, index, without, self.product())
        body, *others = self.arguments()
        return Across(operation, index, without, body) if not others else self.fail("one argument, not several,")

    def arguments(self) -> tuple[Node, ...]:
        bracket = self.take()
        return self.several(bracket) if bracket in ("(", r"\left(") else self.fail(f"a bracket, not {bracket},")

    def name(self, token: str) -> Node:
        """A symbol, with its indices if it has some."""
        if not self.accept("_"):
            return Symbol(token)
        indices = [self.take()]
        if indices == ["{"]:
            indices = []
            while not self.accept("}"):
                indices.append(self.take())
        if not indices or any(len(index) > 1 or not index.isalnum() for index in indices):
            self.fail(f"indices, not {indices},")
        return Element(token, tuple(indices))


# What clauses say.


def is_derivative(clause: Clause) -> bool:
    """Whether it is an equation for a fraction, do/da = ..."""
    return isinstance(clause, Relation) and isinstance(clause.members[0], Over)


def sides(clause: Clause, values: Values) -> list[Real]:
    """What stands right of each = of an equation."""
    if not isinstance(clause, Relation) or set(clause.signs) != {"="}:
        raise LatexError(f"{clause} is no equation")
    return [member.value(values) for member in clause.members[1:]]


def settled(alternative: Alternative, values: Values) -> Values:
    """The values, and all that the clauses give a value to; of a formula with the one that it is for."""
    stated, *clauses = alternative
    for clause in clauses:
        if not is_derivative(clause) and not is_constraint(clause):
            values = defined(clause, values)
    for clause in filter(is_constraint, clauses):
        values = _with_unknown(stated, clause, values)
    return values if is_derivative(stated) else defined(stated, values)


def is_constraint(clause: Clause) -> bool:
    r"""Whether it is an equation for more than a symbol, such as \sum_k o_k = 1."""
    return isinstance(clause, Relation) and not isinstance(clause.members[0], Symbol | Element | Over)


def defined(clause: Clause, values: Values) -> Values:
    """The values, and what one clause gives a value to."""
    if isinstance(clause, Count):
        return values.plus(numbers={clause.name: _count(clause.condition, values)})
    if isinstance(clause, First):
        places = range(length(clause.body, clause.index, values))
        largest = max(places, key=lambda k: clause.body.value(values.plus(indices={clause.index: k})))
        return values.plus(indices={clause.index: largest})
    match clause:
        case Relation((Symbol(name), Tuple(items)), _):
            return values.plus(vectors=_unpacked(items, _looked_up(name, values.vectors, "a vector")))
        case Relation((Symbol(name), *_), _):
            return values.plus(numbers={name: sides(clause, values)[0]})
        case Relation((Element(name, (index,)), right, *_), _):
            places = range(length(right, index, values))
            return values.plus(
                vectors={name: [sides(clause, values.plus(indices={index: k}))[0] for k in places]},
            )
    raise LatexError(f"{clause} defines nothing")


def _count(condition: Node, values: Values) -> Real:
    """For how many values of its one free index the condition holds."""
    elements = [node for node in walk(condition) if isinstance(node, Element)]
    free = {index for element in elements for index in element.indices} - values.indices.keys()
    if len(free) != 1:
        raise LatexError(f"{condition} has not one free index")
    (index,) = free
    places = range(length(condition, index, values))
    return REALS.mpf(sum(condition.value(values.plus(indices={index: k})) for k in places))


def layout(items: tuple[Node, ...]) -> list[str]:
    r"""The names that take turns in (m_0, s_0, m_1, s_1, \dots)."""
    names = [item.name for item in items if isinstance(item, Element) and item.indices == ("0",)]
    turns = [Element(name, (str(k),)) for k in range(len(items)) for name in names]
    if not names or list(items) != [*turns[: len(items) - 1], Symbol(r"\dots")] or (len(items) - 1) % len(names):
        raise LatexError(f"{items} is no layout of a vector")
    return names


def _unpacked(items: tuple[Node, ...], vector: Sequence[Real]) -> dict[str, Sequence[Real]]:
    names = layout(items)
    return {name: vector[k :: len(names)] for k, name in enumerate(names)}


def _with_unknown(stated: Clause, constraint: Clause, values: Values) -> Values:
    """The values, and that of the one symbol that has none, so that the constraint holds."""
    used = {node.name for clause in (stated, constraint) for node in walk(clause) if isinstance(node, Symbol)}
    unknown = used - values.numbers.keys() - CONSTANTS.keys()
    if len(unknown) != 1:
        raise LatexError(f"{unknown or 'nothing'} is to be found from one equation")
    (name,) = unknown
    return solved(constraint, name, values, lambda tried: defined(stated, tried))


def solved(equation: Clause, name: str, values: Values, given: Callable[[Values], Values] = lambda v: v) -> Values:
    """The values, and that of the symbol for which the equation holds."""

    def excess(x: Real) -> Real:
        tried = given(values.plus(numbers={name: x}))
        (right,) = sides(equation, tried)
        return equation.members[0].value(tried) - right

    return values.plus(numbers={name: _zero(excess)})


def _zero(f: Callable[[Real], Real]) -> Real:
    """Where f, which rises or falls, is 0: by bisection."""
    low, high = REALS.mpf(-1), REALS.mpf(1)
    while (f(low) > 0) == (f(high) > 0):
        low, high = 2 * low, 2 * high
        if high > 1e6:
            raise LatexError("an equation without a solution")
    rises = f(high) > 0
    while high - low > REALS.mpf(10) ** -25:
        middle = (low + high) / 2
        if f(middle) == 0:
            return middle
        low, high = (low, middle) if (f(middle) > 0) == rises else (middle, high)
    return (low + high) / 2
