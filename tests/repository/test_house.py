"""The rules of the repository: imports between packages, length of functions, docstrings, forbidden texts."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "chainrule": {"numpy"},
    "schemas": {"marshmallow", "numpy", "pybase64", "chainrule"},
    "service": {
        "apispec",
        "backports",  # zstd; from Python 3.14 on it is in the standard library
        "compression",
        "flask",
        "flask_swagger_ui",
        "gunicorn",
        "httptools",
        "markupsafe",
        "numpy",
        "opentelemetry",
        "orjson",
        "prometheus_client",
        "simdjson",
        "werkzeug",
        "schemas",
        "chainrule",
    },
}
ONLY_IN = {  # libraries that only one module of the service may import
    "apispec": {"service/api/openapi.py"},
    "flask_swagger_ui": {"service/pages/pages.py"},
    "httptools": {"service/server/request_head.py"},
    "opentelemetry": {"service/middleware/spans.py"},
    "orjson": {"service/encoding/codec.py"},
    "numpy": {
        "service/encoding/codec.py",
        "service/encoding/number_lists.py",
        "service/encoding/outline.py",
        "service/encoding/structure.py",
    },
    "simdjson": {"service/encoding/number_lists.py"},
    "prometheus_client": {"service/middleware/metrics.py"},
    "zlib": {"service/encoding/content_codings.py"},
    "backports": {"service/encoding/content_codings.py"},
    "compression": {"service/encoding/content_codings.py"},
}
JUDGES = {"torch", "jax", "mpmath"}
LONGEST_FUNCTION = 30

FILES = {str(path.relative_to(ROOT)): path for room in ALLOWED for path in sorted((ROOT / room).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in FILES.items()}

Function = ast.FunctionDef | ast.AsyncFunctionDef
each_file = pytest.mark.parametrize("name", FILES)


def _room(name: str) -> str:
    return name.partition("/")[0]


def _imports(tree: ast.AST) -> Iterator[str]:
    """The dotted names of all imports: the module, and each imported name, which may be a module, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


@each_file
def test_a_package_imports_only_what_it_may(name: str) -> None:
    """Imports run one way, service to schemas to chainrule, and each package has its own list of libraries."""
    packages = {dotted.partition(".")[0] for dotted in _imports(TREES[name])} - sys.stdlib_module_names
    assert packages - {_room(name)} <= ALLOWED[_room(name)]
    assert not packages & JUDGES


@pytest.mark.parametrize("package", ONLY_IN)
def test_the_service_keeps_a_library_in_one_module(package: str) -> None:
    """So orjson can be replaced in one file, and no view computes."""
    service = [name for name in FILES if _room(name) == "service"]
    importing = {name for name in service if any(d.partition(".")[0] == package for d in _imports(TREES[name]))}
    assert importing == ONLY_IN[package]


@each_file
def test_nothing_is_imported_inside_a_function(name: str) -> None:
    """Such an import hides an import cycle, or a slow load."""
    late = [
        f.name for f in _functions(TREES[name]) if any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(f))
    ]
    assert late == []


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _graph() -> dict[str, set[str]]:
    """The imports of our own modules, module by module. A package's own __init__ does not count for its modules."""
    modules = {_module(name) for name in FILES}
    graph = {}
    for name, tree in TREES.items():
        named = {dotted if dotted in modules else dotted.rpartition(".")[0] for dotted in _imports(tree)}
        graph[_module(name)] = (named & modules) - {_module(name)}
    return graph


def test_imports_form_no_circle() -> None:
    """The modules can be sorted so that each imports only from those before it."""
    graph = _graph()
    while free := {module for module, imports in graph.items() if not imports & graph.keys()}:
        graph = {module: imports for module, imports in graph.items() if module not in free}
    assert graph == {}


# From the lowest floor to the highest: a module imports from its own floor and from those before it.
FLOORS = (
    *("chainrule/checkpoint", "chainrule/functions", "chainrule/graph", "chainrule/notices", "chainrule/verification"),
    *("chainrule/derivation", "chainrule/diagnosis", "chainrule/cost", "chainrule"),
    *("schemas/fields", "schemas"),
    *(
        "service/encoding",
        "service/document",
        "service/problems",
        "service/configuration",
        "service/resources",
        "service/pages",
    ),
    *("service/api", "service/middleware", "service/app", "service/server", "service"),
)


def _floor(module: str) -> int:
    """The number of a module's floor, by the longest name that fits."""
    path = module.replace(".", "/")
    fitting = [floor for floor in FLOORS if path == floor or path.startswith(f"{floor}/")]
    return FLOORS.index(max(fitting, key=len))


def test_imports_between_the_floors_run_one_way() -> None:
    """The server imports the middleware, the middleware the interface, and so on down to the tables."""
    upwards = [
        f"{module} imports {imported}"
        for module, imports in _graph().items()
        for imported in imports
        if _floor(imported) > _floor(module)
    ]
    assert upwards == []


@pytest.mark.parametrize("folder", sorted({str(Path(name).parent) for name in FILES}))
def test_a_folder_says_what_belongs_there(folder: str) -> None:
    """The docstring of its __init__.py is one line, and CONTRIBUTING.md repeats it for each floor."""
    doc = ast.get_docstring(TREES[f"{folder}/__init__.py"])
    assert doc
    if "/" in folder:
        assert doc in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def _length(function: Function) -> int:
    """The lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


@each_file
def test_a_function_fits_on_a_screen(name: str) -> None:
    """30 lines at most."""
    assert [f"{f.name}: {_length(f)}" for f in _functions(TREES[name]) if _length(f) > LONGEST_FUNCTION] == []


def _public(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Public classes, functions and methods, except the methods of a Protocol."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{inside}{node.name}", node
            if isinstance(node, ast.ClassDef) and not _is_protocol(node):
                yield from _public(node.body, f"{node.name}.")


def _is_protocol(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


@each_file
def test_everything_public_has_a_docstring(name: str) -> None:
    """All modules, classes, functions and methods."""
    tree = TREES[name]
    assert ast.get_docstring(tree)
    assert [dotted for dotted, node in _public(tree.body) if not ast.get_docstring(node)] == []


@each_file
def test_no_exception_is_caught_blindly(name: str) -> None:
    """`except Exception` and a bare `except` hide unexpected faults."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            caught = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
            assert not caught & {"Exception", "BaseException"}


REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def _joined(path: Path) -> list[str]:
    text = re.sub(r"\\\n\s*", "", path.read_text("utf-8"))
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _names(path: Path) -> set[str]:
    return {re.split(r"[=<>;\[ ]", entry, maxsplit=1)[0].lower().replace("_", "-") for entry in _joined(path)}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(path: Path) -> None:
    """`name==version` with the hash of each file. So any index is safe: no URL, no option."""
    entries = _joined(path)
    assert entries
    assert [entry for entry in entries if not re.match(r"[\w.-]+==\S+.*--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert "://" not in path.read_text("utf-8")


def test_a_deployment_installs_nothing_of_the_tests() -> None:
    """run.txt has the service's dependencies and theirs, but no group of pyproject.toml."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    wanted = {re.split(r"[<>= ]", entry, maxsplit=1)[0].lower() for group in groups.values() for entry in group}
    shared = {"jinja2", "typing-extensions"}  # what PyTorch needs, and Flask or marshmallow too
    assert _names(ROOT / "requirements" / "run.txt") & (wanted - shared) == set()


def _repository_files() -> list[Path]:
    """The files that git tracks, or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git repository, or there is no git")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


# Split into pieces, so that the search does not find this file.
HOSTS = ("py" + "pi.org", "python" + "hosted.org", "download.py" + "torch.org", "np" + "mjs.org", "arti" + "factory")
FOLDERS = ("t" + "mp", "ro" + "ot", "wo" + "rk", "ho" + "me", "mn" + "t", "Us" + "ers")
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), rf"(?<![\w.~*)}}\]/-])/(?:{'|'.join(FOLDERS)})(?![\w-])"]))


def _named(path: Path) -> Iterator[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:  # a picture
        return
    for number, line in enumerate(lines, 1):
        yield from (f"{path.relative_to(ROOT)}:{number}: {match[0]}" for match in FORBIDDEN.finditer(line))


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    """The repository works in any folder and with any package index."""
    files = [path for path in _repository_files() if path.is_file()]
    assert files
    assert [place for path in files for place in _named(path)] == []


@pytest.mark.parametrize("text", [f"cd /{FOLDERS[0]}/x", f'"/{FOLDERS[2]}/main"', f"https://{HOSTS[0]}/simple"])
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    """With a pattern that matches nothing, the test above would always pass."""
    assert FORBIDDEN.search(text)
