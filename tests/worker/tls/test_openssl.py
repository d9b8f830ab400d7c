"""What C code is told about the library: where its functions are, and where a connection is."""

import ctypes

import pytest

from worker.tls.openssl import FunctionMissing, ffi, function_addresses, lib, version

#: What a relay engine needs at least.
NEEDED = (
    "SSL_read",
    "SSL_write",
    "SSL_get_error",
    "SSL_pending",
    "SSL_shutdown",
    "SSL_get_shutdown",
    "SSL_set_shutdown",
    "SSL_do_handshake",
    "ERR_clear_error",
    "ERR_peek_error",
    "SSL_set_bio",
    "SSL_set_fd",
    "BIO_s_mem",
    "BIO_new",
    "BIO_new_mem_buf",
    "BIO_set_mem_eof_return",
    "BIO_get_mem_data",
    "BIO_free",
)


def test_the_functions_of_a_relay_are_there():
    found = function_addresses(NEEDED)
    assert set(found) == set(NEEDED)
    assert len(set(found.values())) == len(NEEDED)


def test_an_address_is_the_functions_own():
    at = function_addresses(["OpenSSL_version"])["OpenSSL_version"]
    call = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int)(at)
    assert call(0).decode() == version() == ffi.string(lib.OpenSSL_version(0)).decode()
    assert version().startswith("OpenSSL ")


def test_what_the_build_leaves_out_is_missing_though_it_has_an_address():
    assert not lib.Cryptography_HAS_ENGINE
    assert ffi.addressof(lib, "ENGINE_by_id")
    with pytest.raises(FunctionMissing, match="ENGINE_by_id"):
        function_addresses(["ENGINE_by_id"])


def test_each_function_that_is_missing_is_named():
    with pytest.raises(FunctionMissing) as caught:
        function_addresses(["SSL_read", "SSL_has_pending", "SSL_OP_NO_TICKET", "NULL", "nonsense"])
    text = str(caught.value)
    assert "SSL_has_pending, SSL_OP_NO_TICKET, NULL, nonsense" in text
    assert "SSL_read," not in text
    assert version() in text
