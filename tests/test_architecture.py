"""The architecture: imports point one way, as the table of docs/architecture.md says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "elec2water"
NAME = "elec2water"

#: Rooms that may import matplotlib; elsewhere a picture is a method that hands over to one of these.
DRAWING = {"figure", "plot", "plot_design", "plot_energy", "plot_retest", "waterfall", "fonts"}
#: Numerics: arrays in, arrays out.
KERNELS = {
    "calendar_",
    "stats",
    "sums",
    "hydraulics",
    "design.allocation",
    "design.coordination",
    "design.cube",
    "design.draw",
    "design.joint",
    "design.pivotal",
    "design.random_draw",
    "design.reserves",
    "design.selection",
    "design.spatial",
    "coefficient.gaussian",
    "coefficient.nodes",
    "coefficient.posterior",
    "coefficient.shared",
    "recursion.compiled",
    "recursion.level",
    "recursion.panel",
    "recursion.path",
    "recursion.smoothing",
    "recursion.sweep",
    "retest.effects",
    "retest.greedy",
    "telemetry.variances",
    "survey.calibration",
    "survey.estimators",
    "survey.linearised",
    "volume.shared_error",
}
FILES_OR_FRAMES = {"pandas", "pyarrow", "xarray", "pathlib", "os", "io", "csv", "sqlite3", "shutil", "tempfile"}
CLOCKS = re.compile(r"\b(time\.time|perf_counter|datetime\.now|\.utcnow|date\.today|np\.random\.(seed|rand|normal))\b")


def modules() -> dict[str, Path]:
    """Every module by its dotted name below the package; the package itself is ``__init__``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        dotted = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[dotted] = path
    return found


MODULES = modules()


def layers() -> dict[str, int]:
    """Read the layer of every room from the table of the documentation."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", text, flags=re.MULTILINE)
    return {room.rstrip("/"): int(layer) for layer, rooms in rows for room in re.findall(r"`([^`]+)`", rooms)}


LAYERS = layers()


def imports(path: Path, *, for_types: bool = True) -> list[str]:
    """List what a file imports, absolute and dotted, wherever in the file it stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if not for_types and id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def edges(module: str, *, for_types: bool = True) -> set[str]:
    """List the modules of this package that a module imports."""
    found = set()
    for target in imports(MODULES[module], for_types=for_types):
        if target == NAME or target.startswith(NAME + "."):
            parts = target.split(".")[1:]
            while parts and ".".join(parts) not in MODULES:
                parts.pop()
            found.add(".".join(parts) or "__init__")
    return found - {module}


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def test_every_room_stands_in_the_table():
    missing = {room(module) for module in MODULES} - LAYERS.keys()
    assert not missing, f"docs/architecture.md gives no layer to {sorted(missing)}"


def test_the_table_goes_from_the_ground_up():
    assert list(LAYERS.values()) == sorted(LAYERS.values())


def test_imports_point_down():
    wrong = [
        f"{module} (layer {LAYERS[room(module)]}) imports {target} (layer {LAYERS[room(target)]})"
        for module in MODULES
        for target in sorted(edges(module))
        if room(module) in LAYERS
        and room(target) != room(module)
        and LAYERS.get(room(target), -1) > LAYERS[room(module)]
    ]
    assert not wrong, "\n".join(wrong)


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return a way round a cycle, or nothing."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if found := visit(target, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for start in sorted(graph) if (found := visit(start, []))), [])


def test_a_cycle_is_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_import_goes_round():
    whole = {module: edges(module, for_types=False) for module in MODULES}
    rooms: dict[str, set[str]] = {}
    for module, targets in whole.items():
        rooms.setdefault(room(module), set()).update(room(target) for target in targets if room(target) != room(module))
    assert not cycle(whole)
    assert not cycle(rooms)


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"__init__"}))
def test_nobody_imports_the_package_root(module):
    from_root = [t for t in imports(MODULES[module]) if t == NAME or t.startswith(NAME + ".")]
    names = {t.split(".")[1] for t in from_root if t.count(".") == 1}
    assert names <= {room(m) for m in MODULES}, f"{module}: import the module, not the table of contents"
    assert "__init__" not in edges(module)


def test_matplotlib_stays_with_those_who_draw():
    drawing = {
        m for m, path in MODULES.items() if any(t.split(".")[0] == "matplotlib" for t in imports(path, for_types=False))
    }
    assert {room(m) for m in drawing} <= DRAWING


def test_kernels_touch_neither_frames_nor_files():
    assert MODULES.keys() >= KERNELS
    for module in KERNELS:
        touched = {t.split(".")[0] for t in imports(MODULES[module])} & FILES_OR_FRAMES
        assert not touched, f"{module} imports {sorted(touched)}"


def test_what_is_public_is_used_by_more_than_its_own_tests():
    """Named elsewhere in the package, in a table of contents, or in a benchmark, a notebook or the documentation."""
    trees = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    pages = [page for folder in ("benchmarks", "notebooks", "docs") for page in (ROOT / folder).glob("*.*")]
    told = "\n".join(page.read_text(encoding="utf-8") for page in pages if page.suffix in (".py", ".md", ".ipynb"))
    alone = [
        f"{module}.{node.name}"
        for module, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith(("_", "handle_"))
        and node.name not in used
        and not re.search(rf"\b{node.name}\b", told)
    ]
    assert not alone, f"only tests use {alone}: test what is used"


def test_functions_are_no_longer_than_a_screen():
    """45 lines without signature and docstring; what numba compiles can call no plain function beside it."""
    long = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if lines > 45 and not (module == "recursion.compiled" and node.name.endswith("_block")):
                    long.append(f"{module}.{node.name}: {lines} lines")
    assert not long


def test_nothing_looks_at_a_clock_or_a_global_random_state_below_the_commands():
    seen = [m for m, path in MODULES.items() if m != "cli" and CLOCKS.search(path.read_text(encoding="utf-8"))]
    assert not seen


def test_nothing_prints_below_the_commands():
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert module == "cli" or "print" not in called, module
