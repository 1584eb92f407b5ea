"""The texts of `--help` and `--helpfull`."""

import re
import textwrap
from collections.abc import Iterable
from types import ModuleType

from absl import flags

from cb.registry import registered_names

# Packages whose parts a text lists, such as `{cb.models}`.
_PACKAGE = re.compile(r"\{(cb[\w.]*)\}")
_WIDTH = 79


def help_text(about: str, modules: Iterable[ModuleType], full: bool) -> str:
    """Describe a command and its flags.

    Args:
        about: String, what the command does.
        modules: Modules of flags. Each may have `GROUPS`, a dict of title to
            names, or `TITLE`, and `COMMON`, the names of the most used flags;
            by default, those of the first module all are.
        full: Whether to describe all flags, not only the most used of the
            first module.
    """
    modules = [*modules]
    groups = {
        title: names
        for module in modules
        for title, names in _groups(module).items()
    }
    if full:
        parts = [*map(_section, groups, groups.values())]
    else:
        most_used = _most_used(modules[0])
        shown = {name for names in most_used.values() for name in names}
        parts = [*map(_section, most_used, most_used.values())]
        parts += [
            _listed(title, sorted(set(names) - shown))
            for title, names in groups.items()
            if not shown.issuperset(names)
        ]
        parts.append(
            "--helpfull describes all flags; --flagfile=FILE reads them from "
            "a file."
        )
    return "\n\n".join([about.strip(), *parts])


def _groups(module: ModuleType) -> dict[str, list[str]]:
    """Return the names of a module's flags under their titles."""
    if hasattr(module, "GROUPS"):
        return module.GROUPS
    name = module.__name__.rpartition(".")[2].capitalize()
    found = flags.FLAGS.flags_by_module_dict()[module.__name__]
    return {getattr(module, "TITLE", name): [flag.name for flag in found]}


def _most_used(module: ModuleType) -> dict[str, list[str]]:
    if hasattr(module, "COMMON"):
        return {"Most used": module.COMMON}
    return _groups(module)


def _section(title: str, names: Iterable[str]) -> str:
    return "\n".join([f"{title}:", *map(_described, names)])


def _described(name: str) -> str:
    flag = flags.FLAGS[name]
    text = _PACKAGE.sub(
        lambda found: ", ".join(sorted(registered_names(found[1]))),
        str(flag.help),
    )
    default = "" if flag.default is None else f"={flag.default}"
    return f"  --{name}{default}\n" + textwrap.fill(
        text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
    )


def _listed(title: str, names: list[str]) -> str:
    text = " ".join(f"--{name}" for name in names)
    return f"{title}:\n" + textwrap.fill(
        text,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
