// SPDX-License-Identifier: MIT
// Tests of the ELF loader's plan: a sound image, and one broken in each way that has an error.
#include "base/elf.h"
#include "tests/host/base/elf_image.h"

#include <gtest/gtest.h>

#include <functional>

namespace annulus {
namespace {

using test::ElfImage;
using test::Header;

constexpr uint64_t roomy = 64 << 20;

void expect_error(const ElfImage& image, ElfError expected, uint64_t max_span = roomy) {
    ElfError error{};
    EXPECT_EQ(plan_elf(image.bytes(), max_span, error).has_value(), expected == ElfError::none);
    EXPECT_EQ(describe(error), describe(expected));
}

// Breaks a sound image with `damage` and expects the error.
void expect_broken(ElfError expected, const std::function<void(ElfImage&)>& damage) {
    ElfImage image;
    damage(image);
    expect_error(image, expected);
}

template <typename T, typename V>
void expect_changed(ElfError expected, size_t header, T Header::* field, V value) {
    expect_broken(expected, [&](ElfImage& image) { image.change(header, field, value); });
}

TEST(elf, plans_a_sound_image) {
    const ElfImage image;
    ElfError error{};
    const auto plan = plan_elf(image.bytes(), roomy, error);
    ASSERT_TRUE(plan.has_value()) << describe(error);
    EXPECT_EQ(plan->entry, 0x1010u);
    EXPECT_EQ(plan->span, 0x6000u);
    EXPECT_EQ(plan->mapped_size, 0x6000u);
    EXPECT_EQ(plan->alignment, 0x1000u);
    ASSERT_EQ(plan->segment_count, 4u);
    EXPECT_EQ(plan->segments[0].access, ElfAccess::read);
    EXPECT_EQ(plan->segments[1].access, ElfAccess::read_execute);
    EXPECT_EQ(plan->segments[2].access, ElfAccess::read_write);
    EXPECT_EQ(plan->segments[3].file_offset, 0x3000u);
    EXPECT_EQ(plan->segments[3].file_size, 0x800u);
    EXPECT_EQ(plan->segments[3].memory_size, 0x3000u);
    ASSERT_TRUE(plan->tls.has_value());
    EXPECT_EQ(plan->tls->address, 0x2400u);
    EXPECT_EQ(plan->tls->file_size, 0x10u);
    EXPECT_EQ(plan->tls->memory_size, 0x40u);
    EXPECT_EQ(plan->tls->alignment, 16u);
    ASSERT_TRUE(plan->relro.has_value());
    EXPECT_EQ(plan->relro->address, 0x2000u);
    EXPECT_EQ(plan->relro->size, 0x1000u);
    ASSERT_EQ(plan->relocation_count, 3u);
    const auto last = elf_relocation(image.bytes(), *plan, 2);
    ASSERT_TRUE(last.has_value());
    EXPECT_EQ(last->offset, 0x5ff8u);
    EXPECT_EQ(last->addend, 0x1020u);
    EXPECT_FALSE(elf_relocation(image.bytes(), *plan, 3).has_value());
    EXPECT_FALSE(elf_relocation(image.bytes().first(0x440), *plan, 2).has_value());
}

TEST(elf, optional_parts_may_be_missing) {
    ElfImage image;
    for (const size_t index : {ElfImage::dynamic, ElfImage::tls, ElfImage::relro}) {
        image.change(index, &Header::type, 0);
    }
    ElfError error{};
    const auto plan = plan_elf(image.bytes(), roomy, error);
    ASSERT_TRUE(plan.has_value());
    EXPECT_FALSE(plan->tls.has_value());
    EXPECT_FALSE(plan->relro.has_value());
    EXPECT_EQ(plan->relocation_count, 0u);
}

TEST(elf, every_shorter_image_is_refused) {
    const ElfImage image;
    for (size_t size = 0; size < ElfImage::size; size++) {
        const std::vector<std::byte> part(image.bytes().begin(),
                                          image.bytes().begin() + static_cast<ptrdiff_t>(size));
        ElfError error{};
        EXPECT_FALSE(plan_elf(part, roomy, error).has_value()) << size;
        EXPECT_NE(error, ElfError::none);
    }
}

TEST(elf, refuses_bad_file_headers) {
    expect_broken(ElfError::too_short, [](ElfImage& image) { image.raw().resize(63); });
    expect_broken(ElfError::bad_magic, [](ElfImage& image) { image.put<char>(1, 'e'); });
    for (const size_t at : {4, 5, 6, 7, 20}) {
        expect_broken(ElfError::wrong_class, [at](ElfImage& image) { image.put<char>(at, 9); });
    }
    expect_broken(ElfError::wrong_machine, [](ElfImage& image) { image.put<char>(18, 3); });
    expect_broken(ElfError::not_position_independent,
                  [](ElfImage& image) { image.put<char>(16, 2); });
    expect_broken(ElfError::bad_header, [](ElfImage& image) { image.put<char>(52, 63); });
    expect_broken(ElfError::bad_header, [](ElfImage& image) { image.put<char>(54, 32); });
    for (const uint64_t offset : {uint64_t{0x3800 - 8 * 56 + 1}, ~uint64_t{0}}) {
        expect_broken(ElfError::headers_outside,
                      [offset](ElfImage& image) { image.put(32, offset); });
    }
    expect_broken(ElfError::no_segments, [](ElfImage& image) { image.put<uint16_t>(56, 0); });
}

TEST(elf, header_limit) {
    ElfImage image;
    image.put<uint16_t>(56, elf_max_headers);  // those behind the real ones are zero: ignored
    // The relocation table and more headers share bytes; move the headers to free space.
    image.put<uint64_t>(32, 0x800);
    for (size_t index = 0; index < ElfImage::header_count; index++) {
        image.put(0x800 + index * sizeof(Header), image.get(index));
    }
    expect_error(image, ElfError::none);
    image.put<uint16_t>(56, elf_max_headers + 1);
    expect_error(image, ElfError::too_many_headers);
}

TEST(elf, segment_limit) {
    ElfImage image;
    image.change(ElfImage::relro, &Header::type, 0);
    image.change(ElfImage::stack, &Header::type, 0);
    image.put<uint64_t>(32, 0x800);
    for (size_t index = 0; index < ElfImage::header_count; index++) {
        image.put(0x800 + index * sizeof(Header), image.get(index));
    }
    const auto add = [&image](size_t count) {
        for (size_t index = 0; index < count; index++) {
            const uint64_t address = 0x10000 + index * 0x1000;
            image.put(0x800 + (ElfImage::header_count + index) * sizeof(Header),
                      Header{1, 4, 0, address, 0, 8, 8, 0x1000});
        }
        image.put(56, static_cast<uint16_t>(ElfImage::header_count + count));
    };
    // elf_max_segments with those of the image; then elf_max_segments + 1.
    add(elf_max_segments - 4);
    expect_error(image, ElfError::none);
    add(elf_max_segments - 3);
    expect_error(image, ElfError::too_many_segments);
}

TEST(elf, refuses_what_is_not_static_or_wants_too_much) {
    expect_changed(ElfError::needs_interpreter, ElfImage::stack, &Header::type, 3);
    expect_changed(ElfError::executable_stack, ElfImage::stack, &Header::flags, 7);
    expect_changed(ElfError::duplicate_header, ElfImage::stack, &Header::type, 7);
    expect_changed(ElfError::duplicate_header, ElfImage::stack, &Header::type, 2);
    expect_changed(ElfError::duplicate_header, ElfImage::stack, &Header::type, 0x6474e552);
}

TEST(elf, refuses_bad_segment_flags) {
    for (const uint32_t flags : {0u, 1u, 2u, 3u, 7u, 8u | 4u, 0x80000004u}) {
        expect_changed(ElfError::bad_segment_flags, ElfImage::data, &Header::flags, flags);
    }
}

TEST(elf, refuses_bad_alignment) {
    for (const uint64_t alignment : {0x0ull, 0x1ull, 0x800ull, 0x1800ull, 4ull << 20, 1ull << 63}) {
        expect_changed(ElfError::bad_alignment, ElfImage::data, &Header::alignment, alignment);
    }
    expect_changed(ElfError::bad_alignment, ElfImage::data, &Header::address, 0x3008);
    expect_broken(ElfError::bad_alignment, [](ElfImage& image) {
        image.change(ElfImage::data, &Header::address, 0x4000);
        image.change(ElfImage::data, &Header::alignment, 0x8000);
    });
}

TEST(elf, larger_alignment_is_passed_on) {
    ElfImage image;
    image.change(ElfImage::data, &Header::alignment, elf_max_alignment);
    ElfError error{};
    const auto plan = plan_elf(image.bytes(), roomy, error);
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->alignment, elf_max_alignment);
    expect_changed(ElfError::bad_alignment, ElfImage::data, &Header::alignment,
                   2 * elf_max_alignment);
}

TEST(elf, refuses_bad_segment_sizes) {
    expect_changed(ElfError::bad_segment_size, ElfImage::data, &Header::memory_size, 0);
    expect_changed(ElfError::bad_segment_size, ElfImage::data, &Header::memory_size, 0x7ff);
    expect_broken(ElfError::segment_outside,
                  [](ElfImage& image) { image.change(ElfImage::data, &Header::file_size, 0x801); });
    expect_broken(ElfError::segment_outside, [](ElfImage& image) {
        image.change(ElfImage::data, &Header::offset, ~uint64_t{0xfff});
    });
}

TEST(elf, span_limit) {
    const ElfImage image;
    expect_error(image, ElfError::none, 0x6000);
    expect_error(image, ElfError::none, 0x6fff);
    expect_error(image, ElfError::segment_too_large, 0x5fff);
    expect_error(image, ElfError::segment_too_large, 0);
    expect_error(image, ElfError::none, ~uint64_t{0});
    for (const uint64_t size : {0x3001ull, 1ull << 47, ~0ull, ~0ull - 0x3000}) {
        ElfImage large;
        large.change(ElfImage::data, &Header::memory_size, size);
        expect_error(large, ElfError::segment_too_large, size == 0x3001 ? 0x6000 : ~uint64_t{0});
    }
    expect_changed(ElfError::segment_too_large, ElfImage::data, &Header::address, ~uint64_t{0xfff});
}

TEST(elf, refuses_overlaps_and_shared_pages) {
    expect_changed(ElfError::segments_overlap, ElfImage::data, &Header::address, 0x2000);
    expect_changed(ElfError::segments_overlap, ElfImage::data, &Header::address, 0);
    expect_changed(ElfError::segments_overlap, ElfImage::relro_data, &Header::memory_size, 0x1001);
}

TEST(elf, entry_must_be_code) {
    for (const uint64_t entry : {0x0ull, 0xfffull, 0x1800ull, 0x2000ull, 0x9000ull, ~0ull}) {
        expect_broken(ElfError::bad_entry, [entry](ElfImage& image) { image.put(24, entry); });
    }
    expect_broken(ElfError::none, [](ElfImage& image) { image.put<uint64_t>(24, 0x17ff); });
}

TEST(elf, refuses_bad_thread_local_storage) {
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::memory_size, 0xf);
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::memory_size, roomy + 1);
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::alignment, 24);
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::alignment, 0x2000);
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::address, 0x27f1);
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::address, ~uint64_t{0});
    expect_changed(ElfError::bad_tls, ElfImage::tls, &Header::offset, 0x2300);
    expect_broken(ElfError::bad_tls, [](ElfImage& image) {
        image.change(ElfImage::tls, &Header::memory_size, ~uint64_t{0});
        image.change(ElfImage::tls, &Header::file_size, ~uint64_t{0});
    });
    // Zeroed storage only: there are no bytes to look for.
    expect_changed(ElfError::none, ElfImage::tls, &Header::file_size, 0);
}

TEST(elf, refuses_bad_relro) {
    expect_changed(ElfError::bad_relro, ElfImage::relro, &Header::address, 0x2008);
    expect_changed(ElfError::bad_relro, ElfImage::relro, &Header::memory_size, 0xff8);
    expect_changed(ElfError::bad_relro, ElfImage::relro, &Header::memory_size, 0x2000);
    expect_changed(ElfError::bad_relro, ElfImage::relro, &Header::memory_size, ~uint64_t{0xfff});
    expect_changed(ElfError::bad_relro, ElfImage::relro, &Header::address, 0x1000);
    expect_changed(ElfError::bad_relro, ElfImage::relro, &Header::address, 0x9000);
    expect_changed(ElfError::none, ElfImage::relro, &Header::memory_size, 0);
}

// lld starts a segment, and the range in it, in the middle of a page.
TEST(elf, relro_may_start_and_end_where_its_segment_does) {
    ElfImage image;
    image.change(ElfImage::relro_data, &Header::offset, 0x2000 + 0x40);
    image.change(ElfImage::relro_data, &Header::address, 0x2000 + 0x40);
    image.change(ElfImage::relro_data, &Header::file_size, 0x800 - 0x40);
    image.change(ElfImage::relro_data, &Header::memory_size, 0xf00 - 0x40);
    image.set_relocation(0, 0x2040, 8, 0);
    image.change(ElfImage::relro, &Header::address, 0x2040);
    for (const uint64_t end : {0x2f00, 0x3000}) {
        image.change(ElfImage::relro, &Header::memory_size, end - 0x2040);
        ElfError error{};
        const auto plan = plan_elf(image.bytes(), roomy, error);
        ASSERT_TRUE(plan.has_value()) << describe(error);
        EXPECT_EQ(plan->relro->address, 0x2000u);
        EXPECT_EQ(plan->relro->size, 0x1000u);
    }
    image.change(ElfImage::relro, &Header::memory_size, 0x2e00 - 0x2040);
    expect_error(image, ElfError::bad_relro);
    image.change(ElfImage::relro, &Header::address, 0x2048);
    image.change(ElfImage::relro, &Header::memory_size, 0x3000 - 0x2048);
    expect_error(image, ElfError::bad_relro);
}

TEST(elf, refuses_bad_dynamic_sections) {
    expect_changed(ElfError::bad_dynamic, ElfImage::dynamic, &Header::address, 0x2800);
    expect_changed(ElfError::bad_dynamic, ElfImage::dynamic, &Header::address, ~uint64_t{0});
    expect_changed(ElfError::bad_dynamic, ElfImage::dynamic, &Header::offset, 0x2000);
    expect_changed(ElfError::bad_dynamic, ElfImage::dynamic, &Header::file_size, ~uint64_t{0});
    // Five tags and no terminator.
    expect_changed(ElfError::bad_dynamic, ElfImage::dynamic, &Header::file_size, 5 * 16);
    for (const uint64_t tag : {7, 8, 9}) {
        expect_broken(ElfError::bad_dynamic, [tag](ElfImage& image) { image.set_tag(4, tag, 24); });
    }
    for (const size_t index : {0, 1, 2}) {
        expect_broken(ElfError::bad_dynamic,
                      [index](ElfImage& image) { image.set_tag(index, 0x70000000, 0); });
    }
    expect_broken(ElfError::bad_dynamic, [](ElfImage& image) { image.set_tag(2, 9, 16); });
    expect_broken(ElfError::needs_interpreter, [](ElfImage& image) { image.set_tag(4, 1, 0); });
}

TEST(elf, refuses_other_relocations) {
    for (const uint64_t tag : {17, 22, 23, 36}) {
        expect_broken(ElfError::unsupported_relocation,
                      [tag](ElfImage& image) { image.set_tag(4, tag, 0); });
    }
    expect_broken(ElfError::unsupported_relocation,
                  [](ElfImage& image) { image.set_tag(4, 30, 4); });
    for (const uint64_t kind : {0ull, 1ull, 6ull, 37ull, 1ull << 32 | 8}) {
        expect_broken(ElfError::unsupported_relocation,
                      [kind](ElfImage& image) { image.set_relocation(1, 0x3000, kind, 0); });
    }
}

TEST(elf, refuses_bad_relocation_tables) {
    expect_broken(ElfError::bad_relocation_table, [](ElfImage& image) { image.set_tag(1, 8, 71); });
    for (const uint64_t address : {0xfc0ull, 0x3000ull, 0x8000ull, ~0ull}) {
        expect_broken(ElfError::bad_relocation_table,
                      [address](ElfImage& image) { image.set_tag(0, 7, address); });
    }
    expect_broken(ElfError::bad_relocation_table,
                  [](ElfImage& image) { image.set_tag(1, 8, ~uint64_t{0} / 24 * 24); });
    expect_broken(ElfError::none, [](ElfImage& image) { image.set_tag(1, 8, 0); });
}

TEST(elf, refuses_relocations_outside_writable_memory) {
    for (const uint64_t place :
         {0x0ull, 0x1000ull, 0x1ff8ull, 0x2004ull, 0x6000ull, 0x5ffcull, ~0ull, ~7ull}) {
        expect_broken(ElfError::bad_relocation,
                      [place](ElfImage& image) { image.set_relocation(2, place, 8, 0); });
    }
}

}  // namespace
}  // namespace annulus
