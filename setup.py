"""Builds the native relay loop, the accept call and the reading of heads, if this machine can.

The rest is in pyproject.toml. The extensions are optional: without a C compiler the install succeeds, and
`lockgate --version` and each worker say that they run the pure Python engine.
`LOCKGATE_NATIVE_FLAGS` holds compiler and linker flags for special builds (`make sanitize`).
"""

import os
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLAGS = os.environ.get("LOCKGATE_NATIVE_FLAGS", "").split()


class BuildNative(build_ext):
    """Leaves nothing of an earlier build: one that fails would let old code be loaded, or packed."""

    def run(self) -> None:
        for extension in self.extensions:
            in_place = self.get_ext_fullpath(extension.name)
            to_pack = Path(self.build_lib, self.get_ext_filename(extension.name))
            for built in (Path(in_place), to_pack):
                built.unlink(missing_ok=True)
        super().run()


def native(folder: str, name: str) -> Extension:
    """One module of C made of `folder/name.pyx` and the headers beside it."""
    return Extension(
        f"{folder.replace('/', '.')}.{name}",
        [f"{folder}/{name}.pyx"],
        depends=sorted(glob("worker/**/*.pxd", recursive=True)),
        extra_compile_args=["-O2", "-std=c11", "-Wall", "-Wextra", *FLAGS],
        extra_link_args=FLAGS,
        define_macros=[("_GNU_SOURCE", "1")],
        optional=True,
    )


setup(
    ext_modules=[
        native("worker/relay/native", "_loop"),
        native("worker/relay/native", "_gates"),
        native("worker/arrival", "_quick"),
        native("worker/http", "_carry"),
        native("worker/http", "_channel"),
        native("worker/http", "_heads"),
        native("worker/http", "_plan"),
        native("worker/http", "_rounds"),
        native("worker/http", "_steps"),
        native("worker/http2", "_fields"),
        native("worker/http2", "_frames"),
        native("worker/http2", "_hpack"),
    ],
    cmdclass={"build_ext": BuildNative},
)
