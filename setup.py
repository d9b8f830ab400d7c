"""Builds the native relay loop, if this machine can; everything else is in pyproject.toml.

The extension is optional: without a C compiler the install succeeds, and `lockgate --version` and each
worker say that they run the pure Python engine.
`LOCKGATE_NATIVE_FLAGS` holds compiler and linker flags for special builds (`make sanitize`).
"""

import os
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLAGS = os.environ.get("LOCKGATE_NATIVE_FLAGS", "").split()
NATIVE = "worker/relay/native"


class BuildNative(build_ext):
    """Leaves nothing of an earlier build: one that fails would let old code be loaded, or packed."""

    def run(self) -> None:
        for extension in self.extensions:
            in_place = self.get_ext_fullpath(extension.name)
            to_pack = Path(self.build_lib, self.get_ext_filename(extension.name))
            for built in (Path(in_place), to_pack):
                built.unlink(missing_ok=True)
        super().run()


relay_loop = Extension(
    "worker.relay.native._loop",
    [f"{NATIVE}/_loop.pyx"],
    depends=sorted(glob(f"{NATIVE}/*.pxd")),
    extra_compile_args=["-O2", "-std=c11", "-Wall", "-Wextra", *FLAGS],
    extra_link_args=FLAGS,
    define_macros=[("_GNU_SOURCE", "1")],
    optional=True,
)

setup(ext_modules=[relay_loop], cmdclass={"build_ext": BuildNative})
