#!/usr/bin/python3
"""check.py - the tree for Buildroot, without Buildroot.

The package's Config.in and the defconfigs are read with kconfiglib against buildroot/check/Config.in: every symbol exists, every
value is the one that comes out, and saving a defconfig again gives the same lines. Every file that they name is there.
"""
import os
import re
import sys
import tempfile

import kconfiglib

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
faults = []


def fault(text):
    faults.append(text)


def assignments(path):
    """Name and value of each line; None for "is not set"."""
    for number, line in enumerate(open(path), 1):
        line = line.rstrip("\n")
        set_, unset = re.fullmatch(r"(BR2_\w+)=(.*)", line), re.fullmatch(r"# (BR2_\w+) is not set", line)
        if set_:
            yield set_[1], set_[2]
        elif unset:
            yield unset[1], None
        else:
            fault(f"{path}:{number}: {line!r} is no assignment")


def check_defconfig(path):
    os.environ.update(BR2_EXTERNAL_HOLDFAST_PATH=TREE, CONFIG_="")  # Buildroot's symbols have no prefix
    k = kconfiglib.Kconfig(os.path.join(TREE, "check", "Config.in"), warn_to_stderr=False)
    k.load_config(path)
    for w in k.warnings:
        fault(f"{path}: {w}")
    wanted = dict(assignments(path))
    for name, value in wanted.items():
        symbol = k.syms.get(name)
        if symbol is None or not symbol.nodes:
            fault(f"{path}: {name} is no symbol of Buildroot's or ours")
            continue
        got = symbol.str_value
        if symbol.type == kconfiglib.STRING:
            got = '"' + got + '"'
        if (value or "n") != got:
            fault(f"{path}: {name} becomes {got}, not {value}: what it depends on is missing")
    with tempfile.NamedTemporaryFile("r") as saved:
        k.write_min_config(saved.name, header="")
        again = [line.rstrip("\n") for line in open(saved.name) if line.strip()]
    lines = [line.rstrip("\n") for line in open(path)]
    # What the variables of make stand for is not in them yet.
    if again != lines:
        for line in sorted(set(again) ^ set(lines)):
            fault(f"{path}: {'missing' if line in again else 'not what savedefconfig writes'}: {line}")
        if not set(again) ^ set(lines):
            fault(f"{path}: its lines are not in the order of savedefconfig: " + " ".join(x for x, y in zip(again, lines) if x != y))
    for name, value in wanted.items():
        for file in re.findall(r"\$\(BR2_EXTERNAL_HOLDFAST_PATH\)(\S*?)(?=[\s\"]|$)", value or ""):
            if not os.path.exists(TREE + file):
                fault(f"{path}: {name}: {os.path.normpath(TREE + file)} is not there")
    board = (wanted.get("BR2_ROOTFS_POST_SCRIPT_ARGS") or "").strip('"')
    if not os.path.exists(os.path.join(TREE, "..", "board", board, "board.conf")):
        fault(f"{path}: BR2_ROOTFS_POST_SCRIPT_ARGS: no board is called {board!r}")
    if wanted.get("BR2_PACKAGE_HOLDFAST") != "y":
        fault(f"{path}: it builds everything but Holdfast")


def main():
    desc = dict(re.findall(r"^(\w+): (.+)$", open(os.path.join(TREE, "external.desc")).read(), re.M))
    if not re.fullmatch(r"[A-Za-z0-9_]+", desc.get("name", "")) or not desc.get("desc"):
        fault("external.desc: name and desc are needed")
    configs = sorted(os.listdir(os.path.join(TREE, "configs")))
    for name in configs:
        if not name.endswith("_defconfig"):
            fault(f"configs/{name}: its name does not end in _defconfig")
        check_defconfig(os.path.join(TREE, "configs", name))
    text = open(os.path.join(TREE, "package/holdfast/Config.in")).read()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("  ") and not line.startswith("\t"):
            fault(f"package/holdfast/Config.in:{number}: indent by a tab")
        if len(line.expandtabs(8)) > 80 and "default" not in line:
            fault(f"package/holdfast/Config.in:{number}: longer than 80 columns")
    for f in faults:
        print(f, file=sys.stderr)
    if faults:
        sys.exit(f"check-buildroot: {len(faults)} faults")
    print(f"kconfig: {len(configs)} defconfigs, all symbols known, saved again the same")


main()
