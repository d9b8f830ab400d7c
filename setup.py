"""Builds the native relay loop, if this machine can; everything else is in pyproject.toml.

The extension is optional: without a C compiler the install succeeds, and a worker says at its start that
it runs the pure Python engine. `LOCKGATE_NATIVE_FLAGS` holds compiler and linker flags for special builds.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

FLAGS = os.environ.get("LOCKGATE_NATIVE_FLAGS", "").split()

relay_loop = Extension(
    "worker.relay.native._loop",
    ["worker/relay/native/_loop.pyx"],
    extra_compile_args=["-O2", "-std=c11", "-Wall", "-Wextra", *FLAGS],
    extra_link_args=FLAGS,
    define_macros=[("_GNU_SOURCE", "1")],
    optional=True,
)

setup(ext_modules=cythonize([relay_loop], language_level=3))
