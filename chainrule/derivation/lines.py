r"""Substitute numbers into formulas, compute the results, and write both as LaTeX.

    o = s a      with s = 0.1 and a = -2 is      0.1 \cdot (-2) = -0.2

`substitute` replaces names by numbers, expands sums, and chooses the case that holds. `line` rounds the numbers for
reading, to the fewest digits that leave the line true. To find them, it computes the rounded expression with 60 digits.

The LaTeX has no backslash before a sign, no "<", and no index behind a bracket: Markdown would take the first for an
escape, the second for HTML, the third for emphasis (CommonMark 0.31.2, sections 2.4, 6.6 and 6.2).
"""

import decimal
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property, partial
from itertools import islice
from typing import Any, TypeVar

from chainrule.derivation.formula import (
    CONSTANTS,
    COUNT,
    FIRST,
    Across,
    Call,
    Cases,
    Clause,
    CommonSum,
    Counted,
    First,
    Float,
    Formula,
    Joined,
    Layout,
    Minus,
    Name,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Relation,
    Sum,
)
from chainrule.functions.tables import Array

EXACT_DIGITS = 17  # significant digits with which a decimal reads back to the same float64
RESULT_DIGITS = 6
MOST_TERMS = 12  # of an expanded sum; the smallest terms of a longer sum are added up to one number

_PRECISIONS = (60, 400)  # digits; only with 400, which is a few times slower, log(1 + e^-700) is not 0
_CONTEXT = decimal.Context(prec=_PRECISIONS[0], Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
_PLAIN = range(-4, 7)  # powers of ten that are written as 0.00012 and 1200000


Result = TypeVar("Result")


class NoValue(ValueError):
    """An expression has no value: a division by 0, the logarithm of 0."""


# Substitution.


@dataclass(eq=False)
class Cache:
    """Results that all lines of a group share, such as the sum in the denominator of a softmax."""

    found: dict[tuple[str, int], tuple[object, Any]] = field(default_factory=dict)

    def once(self, what: str, part: object, compute: Callable[[], Result]) -> Result:
        """Return the result for a part of a formula; only the first call computes it."""
        key = what, id(part)
        if key not in self.found:
            self.found[key] = part, compute()  # holding the part keeps its id from being reused
        result: Result = self.found[key][1]
        return result


@dataclass(frozen=True)
class Numbers:
    """The numbers that the names of a formula stand for. The indices select elements of the vectors.

    Two instances may use the same `cache` only if their scalars and vectors are equal.
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    vectors: Mapping[str, Sequence[float] | Array] = field(default_factory=dict)
    indices: Mapping[str, int] = field(default_factory=dict)
    meanings: Mapping[str, tuple[str | None, Node]] = field(default_factory=dict)  # symbols' indices and definitions
    cache: Cache = field(default_factory=Cache, compare=False, repr=False)

    def at(self, **indices: int) -> "Numbers":
        """The same, with these indices."""
        return Numbers(self.scalars, self.vectors, {**self.indices, **indices}, self.meanings, self.cache)


def with_definitions(formula: Formula, numbers: Numbers) -> Numbers:
    """The numbers, with the symbols that the clauses of a formula define."""
    for clause in formula.clauses:
        match clause:
            case Layout(vector, names):
                parts = {name: numbers.vectors[vector][k :: len(names)] for k, name in enumerate(names)}
                numbers = replace(numbers, vectors={**numbers.vectors, **parts})
            case Counted(symbol, condition):
                count = numbers.cache.once("count", condition, partial(_count_where, condition, numbers))
                numbers = replace(numbers, scalars={**numbers.scalars, symbol: float(count)})
            case First(index, body):
                first = numbers.cache.once("first", body, partial(_first_largest, body, numbers))
                numbers = numbers.at(**{index: first})
            case Relation((Name(symbol, indices), *_, meaning)) if symbol not in numbers.vectors:
                letter = indices[0] if indices else None
                numbers = replace(numbers, meanings={**numbers.meanings, symbol: (letter, meaning)})
    return numbers


def _count_where(condition: Node, numbers: Numbers) -> int:
    """The number of indices for which a condition holds."""
    return sum(_holds(condition, here) for here in _at_every_index(condition, numbers))


def _first_largest(body: Node, numbers: Numbers) -> int:
    """The first index for which an expression is largest."""
    found = [computed(substitute(body, here)) for here in _at_every_index(body, numbers)]
    return found.index(max(found))


def _at_every_index(node: Node, numbers: Numbers) -> Iterator[Numbers]:
    """The numbers for each value of the one free index of a node."""
    (letter,) = {index for name in _names(node) for index in name.indices} - numbers.indices.keys()
    return (numbers.at(**{letter: k}) for k in range(_length(node, letter, numbers)))


def _names(node: object) -> Iterator[Name]:
    """All names in a node."""
    if isinstance(node, Name):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif isinstance(node, Node):
        yield from _names(tuple(vars(node).values()))


def _length(node: Node, index: str, numbers: Numbers) -> int:
    symbols = {name.symbol for name in _names(node) if index in name.indices}
    symbols |= {name.symbol for each in symbols & numbers.meanings.keys() for name in _names(numbers.meanings[each][1])}
    return next(len(numbers.vectors[symbol]) for symbol in sorted(symbols) if symbol in numbers.vectors)


def substitute(node: Node, numbers: Numbers) -> Node:
    """The expression with numbers for names, with sums over vectors expanded, and without cases."""
    match node:
        case Name():
            return _number(node, numbers)
        case Across():
            return _expanded(node, numbers)
        case Cases(rows):
            chosen = next(value for value, condition in rows if condition is None or _holds(condition, numbers))
            return substitute(chosen, numbers)
        case Quotient(top, bottom, slash):
            return _or_0(over(substitute(top, numbers), substitute(bottom, numbers), slash=slash))
    return _or_0(type(node)(*(_substitute_in(part, numbers) for part in vars(node).values())))


def _substitute_in(part: Any, numbers: Numbers) -> Any:
    """`substitute` for a member of a node: a node, a tuple of nodes, or a word."""
    if isinstance(part, tuple):
        return tuple(substitute(each, numbers) for each in part)
    return substitute(part, numbers) if isinstance(part, Node) else part


def _or_0(node: Node) -> Node:
    """The node; 0 for 0 · log 0 and 0 / 0, as in the tables, where a class that does not occur adds nothing."""
    match node:
        case Product(factors) if any(isinstance(factor, Call | Quotient | Sum) for factor in factors):
            nothing = any(_is_0(factor) for factor in factors)
        case Quotient(top):
            nothing = _is_0(top)
        case _:
            return node
    return Number("0") if nothing and not _has_value(node) else node


def _is_0(node: Node) -> bool:
    return _has_value(node) and not computed(node)


def _has_value(node: Node) -> bool:
    try:
        computed(node)
    except NoValue:
        return False
    return True


def over(top: Node, bottom: Node, *, slash: bool = False) -> Node:
    """top / bottom; `top` itself if bottom is 1."""
    return top if bottom in (Float(1.0), Number("1")) else Quotient(top, bottom, slash)


def _number(name: Name, numbers: Numbers) -> Node:
    if name.symbol in CONSTANTS and not name.indices:
        return name
    if name.symbol in numbers.meanings and not (name.indices and name.symbol in numbers.vectors):
        letter, meaning = numbers.meanings[name.symbol]
        return substitute(meaning, numbers.at(**{letter: numbers.indices[name.indices[0]]}) if letter else numbers)
    if not name.indices:
        return Float(float(numbers.scalars[name.symbol]))
    at = [int(index) if index.isdigit() else numbers.indices[index] for index in name.indices]
    if len(at) > 1:
        return Number("1" if at[0] == at[1] else "0")
    return Float(float(numbers.vectors[name.symbol][at[0]]))


def _expanded(node: Across, numbers: Numbers) -> Node:
    """A sum or maximum over all elements, with numbers substituted; made only once for all lines that share it."""
    if numbers.cache.once("depends", node, lambda: _outer_indices(node, numbers) & numbers.indices.keys()):
        return _assembled(node, _terms(node, numbers), _left_out(node, numbers))
    terms = numbers.cache.once("terms", node, lambda: _terms(node, numbers))
    if node.without is not None:
        return _assembled(node, terms, _left_out(node, numbers))
    return numbers.cache.once("whole", node, lambda: _assembled(node, terms, None))


def _outer_indices(node: Across, numbers: Numbers) -> set[str]:
    """The indices that the terms depend on, apart from the summation index and the index that is left out."""
    found: set[str] = set()
    for name in _names(node.body):
        found.update(name.indices)
        letter, meaning = numbers.meanings.get(name.symbol, (None, name))
        found.update(index for part in _names(meaning) for index in part.indices if index != letter)
    return found - {node.index}


def _left_out(node: Across, numbers: Numbers) -> int | None:
    return None if node.without is None else numbers.indices[node.without]


@dataclass(frozen=True, eq=False)
class _Terms:
    """The terms of a sum or maximum. Their values are computed at the first access, which may raise NoValue."""

    nodes: list[Node]

    @cached_property
    def values(self) -> list[Decimal]:
        """The value of every term."""
        return [computed(node) for node in self.nodes]

    @cached_property
    def largest_first(self) -> list[int]:
        """The indices of the terms, those of the largest absolute values first."""
        sizes = [value.copy_abs() for value in self.values]  # abs() overflows at 1e1000000
        return sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)


def _terms(node: Across, numbers: Numbers) -> _Terms:
    length = _length(node.body, node.index, numbers)
    return _Terms([substitute(node.body, numbers.at(**{node.index: k})) for k in range(length)])


def _assembled(node: Across, terms: _Terms, left_out: int | None) -> Node:
    """The sum or maximum of all terms except the one that is left out."""
    nodes = tuple(term for k, term in enumerate(terms.nodes) if k != left_out)
    if len(nodes) < 2:
        return nodes[0] if nodes else Number("0")
    if len(nodes) <= MOST_TERMS:
        return CommonSum(nodes) if node.operation == r"\sum" else Call(node.operation, nodes)
    if node.operation == r"\sum":
        return _shortened(terms, left_out)
    return Float(float(computed(Call(node.operation, nodes))))


def _shortened(terms: _Terms, left_out: int | None) -> Sum:
    """A long sum: its largest terms in their order, and one number for all others."""
    largest = set(islice((k for k in terms.largest_first if k != left_out), MOST_TERMS - 1))
    apart = largest | {left_out}
    with decimal.localcontext(_CONTEXT):
        rest = sum((value for k, value in enumerate(terms.values) if k not in apart), Decimal())
    return CommonSum((*(terms.nodes[k] for k in sorted(largest)), Float(float(rest))))


def _holds(condition: Node, numbers: Numbers) -> bool:
    match condition:
        case Joined(word, sides):
            found = [_holds(side, numbers) for side in sides]
            return all(found) if word == "and" else any(found)
        case Relation(members, signs):
            values = [computed(substitute(member, numbers)) for member in members]
            return all(_compare(sign, *pair) for sign, *pair in zip(signs, values, values[1:], strict=False))
    raise ValueError(f"{condition} is no condition")


def _compare(sign: str, left: Decimal, right: Decimal) -> bool:
    return {
        "=": left == right,
        r"\ne": left != right,
        "<": left < right,
        ">": left > right,
        r"\le": left <= right,
        r"\ge": left >= right,
    }[sign]


# Computed.


def computed(node: Node, digits: int = EXACT_DIGITS, precision: int = _PRECISIONS[0]) -> Decimal:
    """The value of an expression without names, computed from its numbers rounded to `digits`. Raises NoValue."""
    with decimal.localcontext(_CONTEXT, prec=precision):
        try:
            return +_value(node, digits)
        except (ArithmeticError, ValueError) as error:
            raise NoValue(str(node)) from error


def _value(node: Node, digits: int) -> Decimal:
    match node:
        case Number(written):
            found = Decimal(written)
        case Float(value):
            found = rounded(value, digits)
        case Name(r"\pi"):
            found = _PI
        case Minus(negated):
            found = -_value(negated, digits)
        case CommonSum():
            found = _known(node, digits)
        case Sum(terms):
            found = _added_up(terms, digits)
        case Product(factors):
            found = math.prod([_value(factor, digits) for factor in factors], start=Decimal(1))
        case Quotient(top, bottom):
            found = _value(top, digits) / _value(bottom, digits)
        case Power(Name("e"), exponent):
            found = _value(exponent, digits).exp()
        case Power(base, exponent):
            found = _value(base, digits) ** _value(exponent, digits)
        case Call(function, arguments):
            found = _FUNCTIONS[function](*[_value(argument, digits) for argument in arguments])
        case _:
            raise ValueError(f"{node} is no number")
    return found


def _added_up(terms: tuple[Node, ...], digits: int) -> Decimal:
    return sum([_value(term, digits) for term in terms], Decimal())


def _known(node: CommonSum, digits: int) -> Decimal:
    """The value of a shared sum, computed only once for these digits."""
    key = digits, decimal.getcontext().prec
    if key not in node.known:
        node.known[key] = _added_up(node.terms, digits)
    return node.known[key]


def rounded(value: float, digits: int) -> Decimal:
    """A number rounded to `digits` significant digits; with 17, the shortest decimal that reads back to it."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be shown")
    return Decimal(repr(float(value)) if digits >= EXACT_DIGITS else f"{value:.{digits - 1}e}")


_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def _tanh(x: Decimal) -> Decimal:
    shrunk = (-2 * abs(x)).exp()
    return ((1 - shrunk) / (1 + shrunk)).copy_sign(x)


def _by_float(function: Callable[[float], float]) -> Callable[[Decimal], Decimal]:
    return lambda x: Decimal(function(float(x)))


_FUNCTIONS: Mapping[str, Callable[..., Decimal]] = {
    r"\log": Decimal.ln,
    r"\sqrt": Decimal.sqrt,
    r"\tanh": _tanh,
    r"\cosh": lambda x: (x.exp() + (-x).exp()) / 2,
    r"\sigma": _sigmoid,
    r"\sin": _by_float(math.sin),
    r"\cos": _by_float(math.cos),
    r"\arctan": _by_float(math.atan),
    r"\Phi": _by_float(lambda x: math.erfc(-x / math.sqrt(2.0)) / 2.0),
    r"\max": max,
    r"\min": min,
    "|": abs,
}


# Written.

_ORDER = {"<": r"\lt", ">": r"\gt"}


@dataclass(frozen=True)
class Writer:
    """Writes nodes as LaTeX: names by the function `name`, numbers with `digits` significant digits."""

    name: Callable[[Name], str] = lambda name: name.symbol
    digits: int = EXACT_DIGITS
    times: str = r" \cdot "

    def text(self, node: Node, *, head: bool = True) -> str:
        """A sum or anything that binds more tightly; without `head`, a leading sign gets brackets."""
        match node:
            case Sum(terms):
                return self.text(terms[0], head=head) + "".join(map(self._added, terms[1:]))
            case Minus(of):
                return self._bracketed(f"-{self.product(of)}", needed=not head)
            case Quotient(top, bottom, True):
                return f"{self.product(top, head=head)} / {self.factor(bottom, power_of_ten=False)}"
        return self.product(node, head=head)

    def _added(self, term: Node) -> str:
        match term:
            case Minus(of):
                return f" - {self.product(of)}"
            case Float(value) if value < 0:
                return f" - {self.product(Float(-value))}"
        return f" + {self.text(term, head=False)}"

    def product(self, node: Node, *, head: bool = False) -> str:
        """A product or anything that binds more tightly."""
        if isinstance(node, Product):
            first, *others = node.factors
            return self.times.join([self.factor(first, head=head), *map(self.factor, others)])
        return self.factor(node, head=head)

    def factor(self, node: Node, *, head: bool = False, power_of_ten: bool = True) -> str:
        """A part of a product, in brackets where it needs them."""
        match node:
            case Float(value):
                shown = shown_number(value, self.digits)
                return self._bracketed(shown, needed=(value < 0 and not head) or (not power_of_ten and "^" in shown))
            case Sum() | Minus() | Product():
                return self._bracketed(self.text(node))
        return self.atom(node)

    def atom(self, node: Node) -> str:
        """A node that needs no brackets."""
        match node:
            case Number(written):
                found = written
            case Name():
                found = self.name(node)
            case Quotient(top, bottom):
                found = rf"\frac{{{self.text(top)}}}{{{self.text(bottom)}}}"
            case Power(base, exponent):
                found = f"{self.base(base)}^{{{self.text(exponent)}}}"
            case Call("|", (inner,)):
                found = f"|{self.text(inner)}|"
            case Call(r"\sqrt", (inner,)):
                found = rf"\sqrt{{{self.text(inner)}}}"
            case Call(function, arguments):
                found = function + self._bracketed(", ".join(map(self.text, arguments)))
            case Across():
                found = self._across(node)
            case Cases(rows):
                written = r" \cr ".join(self._case(*row) for row in rows)
                found = rf"\begin{{cases}} {written} \end{{cases}}"
            case _:
                found = self.condition(node)
        return found

    def _across(self, node: Across) -> str:
        bound = node.index if node.without is None else rf"{node.index} \ne {self._index(node.without)}"
        summed = node.operation == r"\sum" and isinstance(node.body, Product | Quotient | Power | Name)
        inner = self.product(node.body) if summed else self._bracketed(self.text(node.body))
        return rf"{node.operation}_{{{bound}}} {inner}"

    def base(self, node: Node) -> str:
        """The base of a power; a name whose LaTeX has a superscript gets brackets."""
        shown = self.factor(node, power_of_ten=False)
        return self._bracketed(
            shown, needed=isinstance(node, Quotient | Power | Across) or (isinstance(node, Name) and "^" in shown)
        )

    def condition(self, node: Node) -> str:
        """A relation, such as x < y, or two that are joined by a word."""
        match node:
            case Joined(word, sides):
                return rf"{self.condition(sides[0])} \text{{ {word} }} {self.condition(sides[1])}"
            case Relation(members, signs):
                first, *others = map(self.text, members)
                return first + "".join(f" {_ORDER.get(s, s)} {m}" for s, m in zip(signs, others, strict=True))
        raise ValueError(f"{node} cannot be written")

    def clause(self, clause: Clause) -> str:
        """The definition of a symbol."""
        match clause:
            case Counted(symbol, condition):
                return rf"{symbol}{COUNT} {self.condition(condition)}"
            case First(index, body):
                return rf"{index}{FIRST} {self.text(body)}"
            case Layout(vector, names):
                return rf"{vector} = ({', '.join(f'{name}_{{{k}}}' for k in range(2) for name in names)}, \dots)"
        return self.condition(clause)

    def _case(self, value: Node, condition: Node | None) -> str:
        when = r"\text{otherwise}" if condition is None else self.condition(condition)
        return f"{self.text(value)} & {when}"

    def _index(self, letter: str) -> str:
        return self.name(Name("", (letter,)))

    def _bracketed(self, text: str, *, needed: bool = True) -> str:
        if not needed:
            return text
        high = any(command in text for command in (r"\frac", r"\sum", r"\begin"))
        return rf"\left({text}\right)" if high else f"({text})"


def shown_number(value: float, digits: int) -> str:
    r"""A number for reading: 0.25, -3, 1.5 \cdot 10^{-7}."""
    number = rounded(value, digits).normalize()
    if not number:
        return "0"
    whole = number.adjusted() < digits or number == rounded(value, EXACT_DIGITS)  # else a 0 may stand for another digit
    if number.adjusted() in _PLAIN and whole:
        return f"{number:f}"
    sign, figures, _ = number.as_tuple()
    mantissa = "".join(map(str, figures[:1])) + ("." + "".join(map(str, figures[1:])) if figures[1:] else "")
    return rf"{'-' * sign}{mantissa} \cdot 10^{{{number.adjusted()}}}"


# A line of numbers.

_NEXT_TO_0 = Decimal("1e-323")  # what float64 may have rounded to 0
_HALF = Decimal("0.5000001")  # of a unit in the last place: a number halfway between two may be rounded to either


def line(node: Node, value: float) -> str | None:
    r"""A line such as "= 0.15 \cdot 0.05 + 0.35 = 0.3575", with the fewest digits that make it true.

    A line is true if the expression, computed from the numbers shown, differs from the value shown by at most half a
    unit in the last place. None if the line is not true even with all digits: float64 has lost digits of its numbers.
    """
    for shown, digits, precision in _roundings():
        try:
            found = computed(node, digits, precision)
        except NoValue:
            continue
        result = rounded(value, shown)
        unit = Decimal(1).scaleb(result.adjusted() - shown + 1) if result else _NEXT_TO_0
        if abs(found - result) <= _HALF * unit:
            return _line(node, digits, found, value, shown)
    return None


def _roundings() -> Iterator[tuple[int, int, int]]:
    """Yield the digits to try: of the value, of the numbers in the expression, and of the computation.

    First the digits of the numbers grow, then those of the computation. Last, those of the value shrink.
    """
    yield from ((RESULT_DIGITS, digits, _PRECISIONS[0]) for digits in range(RESULT_DIGITS, EXACT_DIGITS + 1))
    yield from ((shown, EXACT_DIGITS, _PRECISIONS[1]) for shown in range(RESULT_DIGITS, 0, -1))


def _line(node: Node, digits: int, found: Decimal, value: float, shown: int) -> str:
    if isinstance(node, Float | Number):
        return f"{_equal(_is_float64(rounded(value, shown), value))} {shown_number(value, shown)}"
    result = rounded(value, shown)
    exact = found == result and _is_float64(result, value) and _shown_exactly(node, digits)
    exact = exact and computed(node, digits, _PRECISIONS[1]) == result  # 1e300 - 0.5 is 1e300 to 60 digits
    return f"= {Writer(digits=digits).text(node)} {_equal(exact)} {shown_number(value, shown)}"


def _is_float64(exact: Decimal, value: float) -> bool:
    """Whether a decimal is a float64 up to rounding errors: 0.3775 is 0.37749999999999995."""
    return abs(exact - Decimal(value)) <= abs(exact) * Decimal("1e-14")


def _shown_exactly(node: object, digits: int) -> bool:
    """Whether no substituted number is rounded for reading."""
    if isinstance(node, Float):
        return rounded(node.value, digits) == rounded(node.value, EXACT_DIGITS)
    parts = node if isinstance(node, tuple) else tuple(vars(node).values()) if isinstance(node, Node) else ()
    return all(_shown_exactly(part, digits) for part in parts)


def _equal(exactly: bool) -> str:
    return "=" if exactly else r"\approx"
