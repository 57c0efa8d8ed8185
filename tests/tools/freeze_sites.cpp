// SPDX-License-Identifier: MIT
// What the check of freezes must accept (good_...) and refuse (bad_...); compiled like a program.
//
// In each function the first argument, however it is typed, is the address of shared memory.
#include "base/untrusted.h"

using namespace annulus;

namespace {

struct Request {
    uint32_t kind;
    uint32_t length;
    uint64_t offset;
};

}  // namespace

extern "C" {

uint64_t handle(uint32_t kind, uint32_t length, uint64_t offset);
void consume(const std::byte* bytes, size_t size);

// A frozen request may be looked at as often as one likes.
[[gnu::used]] uint64_t good_freeze(Untrusted<Request> shared) {
    const Request request = shared.freeze();
    if (request.length > 4096) return 0;
    switch (request.kind) {
        case 0: return request.length;
        case 1: return handle(1, request.length, request.offset);
        case 2: return handle(2, request.length + request.kind, 0);
        case 3: return handle(3, 0, request.offset) + request.length;
        default: return request.offset;
    }
}

// Two freezes are two looks, and the source says so.
[[gnu::used]] uint32_t good_two_looks(UntrustedAtomic<uint32_t> index) {
    const uint32_t before = index.load_acquire();
    if (handle(before, 0, 0) == 0) return before;
    return index.load_acquire() - before;
}

// Bytes in bulk, each once.
[[gnu::used]] bool good_bytes(const UntrustedBytes shared) {
    std::array<std::byte, 61> copy;
    if (!shared.freeze(3, copy)) return false;
    consume(copy.data(), copy.size());
    return true;
}

// Writing is not reading.
[[gnu::used]] void good_store(Untrusted<Request> shared, uint32_t kind) {
    shared.store({kind, kind + 1, kind});
}

// A plain copy is no freeze: the compiler may read a field when it is used, and again.
[[gnu::used]] uint64_t bad_plain_copy(const Request* shared) {
    const Request request = *shared;
    if (request.length > 4096) return 0;
    switch (request.kind) {
        case 0: return request.length;
        case 1: return handle(1, request.length, request.offset);
        default: return request.offset;
    }
}

// Checked in shared memory, then used from there.
[[gnu::used]] uint64_t bad_check_then_use(const Request* shared) {
    if (shared->length > 4096) return 0;
    if (handle(0, 0, 0) == 0) return 1;
    return handle(shared->kind, shared->length, shared->offset);
}

// Frozen, but one field is read past the freeze.
[[gnu::used]] uint64_t bad_read_beside_freeze(UntrustedBytes shared) {
    const auto place = shared.at<Request>(0);
    if (!place) return 0;
    const Request request = place->freeze();
    if (request.length > 4096) return 0;
    // Without a call in between the compiler may take the field from the frozen copy.
    if (handle(0, 0, 0) == 0) return 1;
    const auto* plain = reinterpret_cast<const Request*>(shared.address());
    return handle(request.kind, plain->length, request.offset);
}

// A library's copy may read as it likes.
[[gnu::used]] uint64_t bad_built_in_copy(const Request* shared) {
    Request request;
    __builtin_memcpy(&request, shared, sizeof(request));
    return handle(request.kind, request.length, request.offset);
}

// Compared in memory.
[[gnu::used]] bool bad_compare(const uint32_t* shared) { return *shared == 7; }

}  // extern "C"
