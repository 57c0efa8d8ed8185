# SPDX-License-Identifier: MIT
"""Standard headers: what freestanding code names of them, it or a header it includes asks for.

Neither compiler nor clang-tidy see one missing: the build has the headers in use precompiled, and
clang-tidy looks at several sources together.
"""

import functools
import re

import layering
import project
import style

# Programs that only the target tree builds, beside the folders of layering.allowed.
_programs = ("tests/abi/", "tests/hostile/", "tests/guest/", "bench/programs/")

# The headers that declare each name; any of them will do. First those with names below std::, then
# C's.
_cpp_names = {
    "algorithm": """all_of any_of copy copy_backward copy_n count equal fill find find_if max min
        none_of ranges remove transform""",
    "array": "array begin end size",
    "atomic": """atomic atomic_ref atomic_thread_fence atomic_signal_fence memory_order
        memory_order_acq_rel memory_order_acquire memory_order_relaxed memory_order_release
        memory_order_seq_cst""",
    "bit": """bit_cast bit_ceil bit_floor bit_width byteswap countl_one countl_zero countr_one
        countr_zero endian has_single_bit popcount rotl rotr""",
    "concepts": "convertible_to derived_from integral invocable same_as unsigned_integral",
    "coroutine": "coroutine_handle noop_coroutine suspend_always suspend_never",
    "cstddef": "byte max_align_t nullptr_t ptrdiff_t size_t to_integer",
    "cstring": "memchr memcmp memcpy memmove memset strlen",
    "initializer_list": "initializer_list",
    "iterator": "begin end size",
    "limits": "numeric_limits",
    "memory": "addressof construct_at destroy_at make_unique unique_ptr",
    "new": "align_val_t launder nothrow nothrow_t",
    "optional": "nullopt nullopt_t optional",
    "ranges": "ranges",
    "span": "as_bytes as_writable_bytes begin dynamic_extent end size span",
    "string_view": "begin end size string_view",
    "tuple": "get tie tuple",
    "type_traits": """add_const_t conditional_t decay_t enable_if_t false_type
        has_unique_object_representations_v invoke_result_t is_base_of_v is_const_v
        is_convertible_v is_enum_v is_integral_v is_invocable_v is_pointer_v is_same_v is_signed_v
        is_standard_layout_v is_trivially_copyable_v is_trivially_destructible_v is_unsigned_v
        is_void_v remove_const_t remove_cv_t remove_cvref_t remove_reference_t true_type
        type_identity_t underlying_type_t""",
    "utility": """cmp_equal cmp_less exchange forward get move pair swap to_underlying
        unreachable""",
    "vector": "vector",
}
_c_names = {
    "stddef.h": "offsetof ptrdiff_t size_t",
    "stdint.h": """int8_t int16_t int32_t int64_t intptr_t uint8_t uint16_t uint32_t uint64_t
        uintptr_t""",
    "string.h": "memchr memcmp memcpy memmove memset size_t strcmp strlen strncmp",
}
_headers_of = {}
for _header, _names in _cpp_names.items():
    for _name in _names.split():
        _headers_of.setdefault("std::" + _name, set()).add(_header)
for _header, _names in _c_names.items():
    for _name in _names.split():
        _headers_of.setdefault(_name, set()).update(
            (_header, "c" + _header.removesuffix(".h")))

_used = re.compile(r"\bstd::[a-z]\w*|(?<![\w:.>])(?:%s)\b" % "|".join(
    name for name in _headers_of if "::" not in name))
_text = re.compile(r'"(?:\\.|[^"\\\n])*"')


# What a source defines instead of including it.
_defined = {"runtime/memory_functions.cpp": {"string.h"}}


@functools.cache
def _asked_for(path):
    """The standard headers that a file or a project header it includes asks for, or defines."""
    return {standard for file in layering.closure(path)
            for _, standard in layering.includes(file) if standard} | _defined.get(str(path), set())


def problems(path, code):
    """What a file without comments names and nothing includes."""
    found = []
    for name in sorted(set(_used.findall(_text.sub('""', code)))):
        headers = _headers_of.get(name)
        if headers is None:
            found.append(f"{path}: {name} has no header in tools/test/standard.py")
        elif not headers & _asked_for(path):
            found.append(f"{path}: {name} needs <{'> or <'.join(sorted(headers))}>")
    return found


def applies(path):
    return path.parts[0] in layering.allowed or str(path).startswith(_programs)


def run(report):
    with report.suite("standard headers") as suite:
        for path in project.sources(".h", ".cpp"):
            if applies(path):
                code = style.without_comments(project.text(path))
                suite.check(str(path), "\n".join(problems(path, code)))
