// SPDX-License-Identifier: MIT
// Fuzz target of the ELF plan: executes every plan that is given, as a loader would.
#include "base/elf.h"

#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

using namespace annulus;

constexpr uint64_t max_span = 1 << 20;

void require(bool condition) {
    if (!condition) abort();
}

// Loads the program at offset 0 of a block of exactly the plan's span.
void execute(std::span<const std::byte> image, const ElfPlan& plan) {
    require(plan.span <= max_span && plan.mapped_size <= plan.span);
    std::vector<std::byte> memory(plan.span);
    for (const ElfSegment& segment : plan.used_segments()) {
        const auto bytes = image.subspan(segment.file_offset, segment.file_size);
        if (!bytes.empty()) memcpy(&memory.at(segment.address), bytes.data(), bytes.size());
        require(segment.end_page() <= plan.span);
    }
    for (size_t index = 0; index < plan.relocation_count; index++) {
        const auto relocation = elf_relocation(image, plan, index);
        require(relocation.has_value() && relocation->offset <= plan.span - 8);
        memcpy(&memory.at(relocation->offset), &relocation->addend, 8);
    }
    require(plan.entry < plan.span);
    if (plan.tls && plan.tls->file_size != 0) {
        const std::span loaded(memory);
        require(loaded.subspan(plan.tls->address, plan.tls->file_size).size() ==
                plan.tls->file_size);
    }
    if (plan.relro) require(plan.relro->address + plan.relro->size <= plan.span);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
    // An own heap block of the exact size, so that the sanitizer sees any access outside.
    const std::vector<unsigned char> copy(data, data + size);
    const auto image = std::as_bytes(std::span(copy));
    ElfError error{};
    const auto plan = plan_elf(image, max_span, error);
    require(plan.has_value() == (error == ElfError::none));
    require(!describe(error).empty());
    if (plan) execute(image, *plan);
    return 0;
}
