r"""Formulas with numbers in them: put in, computed, and written as LaTeX.

    o = s a      with s = 0.1 and a = -2 is      0.1 \cdot (-2) = -0.2

`put_in` makes numbers of names, writes sums out and takes the case that holds. `line` rounds the numbers for reading,
to as few digits as leave the line true, which it finds out by computing what it shows, with 60 digits.

What is written has no backslash before a sign, no "<", and no index behind a bracket: Markdown would take the first for
an escape, the second for HTML, the third for emphasis (CommonMark 0.31.2, sections 2.4, 6.6 and 6.2).
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
    Comparison,
    Counted,
    First,
    Formula,
    Given,
    Joined,
    Layout,
    Minus,
    Name,
    Node,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
)
from chainrule.functions.tables import Array

EXACT_DIGITS = 17  # with so many, a decimal reads back to the same float64
RESULT_DIGITS = 6
MOST_TERMS = 12  # of a sum that is written out; of a longer one, the smallest are added up

_PRECISIONS = (60, 400)  # the second, a few times slower, knows that log(1 + e^-700) is not 0
_CONTEXT = decimal.Context(prec=_PRECISIONS[0], Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
_PLAIN = range(-4, 7)  # powers of ten that are written as 0.00012 and 1200000


Result = TypeVar("Result")


class NoValue(ValueError):
    """An expression has no value: a division by 0, the logarithm of 0."""


# Numbers put in.


@dataclass(eq=False)
class Shared:
    """Results that all lines of one group have in common, such as the sum in the denominator of a softmax."""

    found: dict[tuple[str, int], tuple[object, Any]] = field(default_factory=dict)

    def once(self, what: str, part: object, compute: Callable[[], Result]) -> Result:
        """The result for a part of a formula: computed by the first caller, looked up by the others."""
        key = what, id(part)
        if key not in self.found:
            self.found[key] = part, compute()  # the part is kept: its id is not given to another object meanwhile
        result: Result = self.found[key][1]
        return result


@dataclass(frozen=True)
class Numbers:
    """What the names of a formula stand for. A vector's elements are found by its indices.

    Only numbers with equal scalars and vectors may have one `shared`.
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    vectors: Mapping[str, Sequence[float] | Array] = field(default_factory=dict)
    indices: Mapping[str, int] = field(default_factory=dict)
    meanings: Mapping[str, tuple[str | None, Node]] = field(default_factory=dict)  # of symbols: their index, what it is
    shared: Shared = field(default_factory=Shared, compare=False, repr=False)

    def at(self, **indices: int) -> "Numbers":
        """The same, with these indices."""
        return Numbers(self.scalars, self.vectors, {**self.indices, **indices}, self.meanings, self.shared)


def settled(formula: Formula, numbers: Numbers) -> Numbers:
    """The numbers, and what the clauses of a formula say that its other symbols are."""
    for clause in formula.clauses:
        match clause:
            case Layout(vector, turns):
                parts = {name: numbers.vectors[vector][k :: len(turns)] for k, name in enumerate(turns)}
                numbers = replace(numbers, vectors={**numbers.vectors, **parts})
            case Counted(symbol, condition):
                count = numbers.shared.once("count", condition, partial(_how_many, condition, numbers))
                numbers = replace(numbers, scalars={**numbers.scalars, symbol: float(count)})
            case First(index, body):
                first = numbers.shared.once("first", body, partial(_first_largest, body, numbers))
                numbers = numbers.at(**{index: first})
            case Comparison((Name(symbol, indices), *_, meaning)) if symbol not in numbers.vectors:
                letter = indices[0] if indices else None
                numbers = replace(numbers, meanings={**numbers.meanings, symbol: (letter, meaning)})
    return numbers


def _how_many(condition: Node, numbers: Numbers) -> int:
    """At how many places a condition holds."""
    return sum(_holds(condition, here) for here in _everywhere(condition, numbers))


def _first_largest(body: Node, numbers: Numbers) -> int:
    """The first place where an expression is largest."""
    found = [computed(put_in(body, here)) for here in _everywhere(body, numbers)]
    return found.index(max(found))


def _everywhere(node: Node, numbers: Numbers) -> Iterator[Numbers]:
    """The numbers with the one free index of a node at every place."""
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


def put_in(node: Node, numbers: Numbers) -> Node:
    """An expression without names, sums over vectors and cases: numbers are in their place."""
    match node:
        case Name():
            return _number(node, numbers)
        case Across():
            return _written_out(node, numbers)
        case Cases(rows):
            held = next(value for value, condition in rows if condition is None or _holds(condition, numbers))
            return put_in(held, numbers)
        case Quotient(top, bottom, slash):
            return _or_0(over(put_in(top, numbers), put_in(bottom, numbers), slash=slash))
    return _or_0(type(node)(*(_put_into(part, numbers) for part in vars(node).values())))


def _put_into(part: Any, numbers: Numbers) -> Any:
    """The same for what a node is made of: nodes, tuples of them, words."""
    if isinstance(part, tuple):
        return tuple(put_in(each, numbers) for each in part)
    return put_in(part, numbers) if isinstance(part, Node) else part


def _or_0(node: Node) -> Node:
    """The tables count 0 · log 0 and 0 / 0 as 0: what does not occur adds nothing."""
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
    """A quotient, unless it is by 1."""
    return top if bottom in (Given(1.0), Number("1")) else Quotient(top, bottom, slash)


def _number(name: Name, numbers: Numbers) -> Node:
    if name.symbol in CONSTANTS and not name.indices:
        return name
    if name.symbol in numbers.meanings and not (name.indices and name.symbol in numbers.vectors):
        letter, meaning = numbers.meanings[name.symbol]
        return put_in(meaning, numbers.at(**{letter: numbers.indices[name.indices[0]]}) if letter else numbers)
    if not name.indices:
        return Given(float(numbers.scalars[name.symbol]))
    at = [int(index) if index.isdigit() else numbers.indices[index] for index in name.indices]
    if len(at) > 1:
        return Number("1" if at[0] == at[1] else "0")
    return Given(float(numbers.vectors[name.symbol][at[0]]))


def _written_out(node: Across, numbers: Numbers) -> Node:
    """A sum or maximum over all elements, with the numbers put in; made once for all lines that have it in common."""
    if numbers.shared.once("depends", node, lambda: _outer_indices(node, numbers) & numbers.indices.keys()):
        return _assembled(node, _terms(node, numbers), _left_out(node, numbers))
    terms = numbers.shared.once("terms", node, lambda: _terms(node, numbers))
    if node.without is not None:
        return _assembled(node, terms, _left_out(node, numbers))
    return numbers.shared.once("whole", node, lambda: _assembled(node, terms, None))


def _outer_indices(node: Across, numbers: Numbers) -> set[str]:
    """The indices that the terms depend on, beside their own. The element that is left out changes no other term."""
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
    """The terms of a sum or maximum. The values are computed when they are first asked for; that raises NoValue."""

    nodes: list[Node]

    @cached_property
    def values(self) -> list[Decimal]:
        """Of every term."""
        return [computed(node) for node in self.nodes]

    @cached_property
    def largest_first(self) -> list[int]:
        """The places by the size of the values."""
        sizes = [value.copy_abs() for value in self.values]  # abs() overflows at 1e1000000
        return sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)


def _terms(node: Across, numbers: Numbers) -> _Terms:
    length = _length(node.body, node.index, numbers)
    return _Terms([put_in(node.body, numbers.at(**{node.index: k})) for k in range(length)])


def _assembled(node: Across, terms: _Terms, left_out: int | None) -> Node:
    """The sum or maximum of all terms but one."""
    nodes = tuple(term for k, term in enumerate(terms.nodes) if k != left_out)
    if len(nodes) < 2:
        return nodes[0] if nodes else Number("0")
    if len(nodes) <= MOST_TERMS:
        return CommonSum(nodes) if node.operation == r"\sum" else Call(node.operation, nodes)
    if node.operation == r"\sum":
        return _shortened(terms, left_out)
    return Given(float(computed(Call(node.operation, nodes))))


def _shortened(terms: _Terms, left_out: int | None) -> Sum:
    """A long sum: the largest terms in their order, and the others added up."""
    largest = set(islice((k for k in terms.largest_first if k != left_out), MOST_TERMS - 1))
    apart = largest | {left_out}
    with decimal.localcontext(_CONTEXT):
        rest = sum((value for k, value in enumerate(terms.values) if k not in apart), Decimal())
    return CommonSum((*(terms.nodes[k] for k in sorted(largest)), Given(float(rest))))


def _holds(condition: Node, numbers: Numbers) -> bool:
    match condition:
        case Joined(word, sides):
            found = [_holds(side, numbers) for side in sides]
            return all(found) if word == "and" else any(found)
        case Comparison(members, signs):
            values = [computed(put_in(member, numbers)) for member in members]
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
    """The value of an expression without names, every number taken as it is shown. Raises NoValue."""
    with decimal.localcontext(_CONTEXT, prec=precision):
        try:
            return +_value(node, digits)
        except (ArithmeticError, ValueError) as error:
            raise NoValue(str(node)) from error


def _value(node: Node, digits: int) -> Decimal:
    match node:
        case Number(written):
            found = Decimal(written)
        case Given(value):
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
    """The value of a sum that several lines have in common: computed once with these digits."""
    key = digits, decimal.getcontext().prec
    if key not in node.known:
        node.known[key] = _added_up(node.terms, digits)
    return node.known[key]


def rounded(value: float, digits: int) -> Decimal:
    """A number to so many significant digits; 17 are what float64's own shortest form has."""
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
    """Writes nodes as LaTeX: names as `name` has them, numbers with so many digits."""

    name: Callable[[Name], str] = lambda name: name.symbol
    digits: int = EXACT_DIGITS
    times: str = r" \cdot "

    def text(self, node: Node, *, head: bool = True) -> str:
        """A sum or anything smaller; a sign in front only at the head of a bracket."""
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
            case Given(value) if value < 0:
                return f" - {self.product(Given(-value))}"
        return f" + {self.text(term, head=False)}"

    def product(self, node: Node, *, head: bool = False) -> str:
        """A product or anything smaller."""
        if isinstance(node, Product):
            first, *others = node.factors
            return self.times.join([self.factor(first, head=head), *map(self.factor, others)])
        return self.factor(node, head=head)

    def factor(self, node: Node, *, head: bool = False, power_of_ten: bool = True) -> str:
        """A part of a product, in brackets where it needs them."""
        match node:
            case Given(value):
                shown = shown_number(value, self.digits)
                return self._bracketed(shown, needed=(value < 0 and not head) or (not power_of_ten and "^" in shown))
            case Sum() | Minus() | Product():
                return self._bracketed(self.text(node))
        return self.atom(node)

    def atom(self, node: Node) -> str:
        """What needs no brackets."""
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
        """What is raised to a power: a name with a power of its own is put in brackets."""
        shown = self.factor(node, power_of_ten=False)
        return self._bracketed(
            shown, needed=isinstance(node, Quotient | Power | Across) or (isinstance(node, Name) and "^" in shown)
        )

    def condition(self, node: Node) -> str:
        """x < y, or two such."""
        match node:
            case Joined(word, sides):
                return rf"{self.condition(sides[0])} \text{{ {word} }} {self.condition(sides[1])}"
            case Comparison(members, signs):
                first, *others = map(self.text, members)
                return first + "".join(f" {_ORDER.get(s, s)} {m}" for s, m in zip(signs, others, strict=True))
        raise ValueError(f"{node} cannot be written")

    def clause(self, clause: Clause) -> str:
        """What a symbol means."""
        match clause:
            case Counted(symbol, condition):
                return rf"{symbol}{COUNT} {self.condition(condition)}"
            case First(index, body):
                return rf"{index}{FIRST} {self.text(body)}"
            case Layout(vector, turns):
                return rf"{vector} = ({', '.join(f'{name}_{{{k}}}' for k in range(2) for name in turns)}, \dots)"
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
    whole = number.adjusted() < digits or number == rounded(value, EXACT_DIGITS)  # else a 0 would stand for any digit
    if number.adjusted() in _PLAIN and whole:
        return f"{number:f}"
    sign, figures, _ = number.as_tuple()
    mantissa = "".join(map(str, figures[:1])) + ("." + "".join(map(str, figures[1:])) if figures[1:] else "")
    return rf"{'-' * sign}{mantissa} \cdot 10^{{{number.adjusted()}}}"


# A line of numbers.

_NEXT_TO_0 = Decimal("1e-323")  # what float64 may have rounded to 0
_HALF = Decimal("0.5000001")  # of a unit in the last place: a number that lies between two is rounded to either


def line(node: Node, value: float) -> str | None:
    r"""An expression and its value, "0.15 \cdot 0.05 + 0.35 = 0.3575", the numbers with as few digits as make it true.

    Computed from the numbers that it shows, an expression differs from the value that it shows by no more than half a
    unit in the last place. None where even all digits do not make it so: float64 has lost what the value is made of.
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
    """Digits of the value, of the numbers in the expression, and to compute with.

    First more of the second, then of the third, then less of the first.
    """
    yield from ((RESULT_DIGITS, digits, _PRECISIONS[0]) for digits in range(RESULT_DIGITS, EXACT_DIGITS + 1))
    yield from ((shown, EXACT_DIGITS, _PRECISIONS[1]) for shown in range(RESULT_DIGITS, 0, -1))


def _line(node: Node, digits: int, found: Decimal, value: float, shown: int) -> str:
    if isinstance(node, Given | Number):
        return f"{_equal(_is_float64(rounded(value, shown), value))} {shown_number(value, shown)}"
    result = rounded(value, shown)
    exact = found == result and _is_float64(result, value) and _shown_exactly(node, digits)
    exact = exact and computed(node, digits, _PRECISIONS[1]) == result  # 1e300 - 0.5 is 1e300 to 60 digits
    return f"= {Writer(digits=digits).text(node)} {_equal(exact)} {shown_number(value, shown)}"


def _is_float64(exact: Decimal, value: float) -> bool:
    """Whether float64 has this number but for its rounding: 0.3775 as 0.37749999999999995."""
    return abs(exact - Decimal(value)) <= abs(exact) * Decimal("1e-14")


def _shown_exactly(node: object, digits: int) -> bool:
    """Whether no number that was put in is rounded for reading."""
    if isinstance(node, Given):
        return rounded(node.value, digits) == rounded(node.value, EXACT_DIGITS)
    parts = node if isinstance(node, tuple) else tuple(vars(node).values()) if isinstance(node, Node) else ()
    return all(_shown_exactly(part, digits) for part in parts)


def _equal(exactly: bool) -> str:
    return "=" if exactly else r"\approx"
