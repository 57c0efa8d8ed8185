// SPDX-License-Identifier: MIT
// Untrusted memory: freezes give what was there, ranges and alignments are checked, nothing leaks.
#include "base/untrusted.h"

#include <gtest/gtest.h>

#include <memory>
#include <type_traits>
#include <vector>

namespace annulus {
namespace {

struct Record {
    uint32_t kind;
    uint32_t length;
    std::array<uint64_t, 3> words;

    bool operator==(const Record&) const = default;
};

struct Gap {
    uint8_t small;
    uint32_t large;
};

static_assert(Shareable<Record> && Shareable<uint16_t> && Shareable<std::array<uint8_t, 6>>);
static_assert(!Shareable<Gap>, "padding would leak private bytes");
static_assert(!Shareable<bool>, "a peer can write 2");
static_assert(!Shareable<int*>, "a peer's pointer is no pointer");
static_assert(!std::is_convertible_v<Untrusted<uint32_t>, uint32_t>);
static_assert(!std::is_constructible_v<Untrusted<uint32_t>, uint32_t*>);

template <typename T>
concept Dereferenceable = requires(T value) { *value; };
static_assert(!Dereferenceable<Untrusted<uint32_t>> && !Dereferenceable<UntrustedBytes>);

// Heap memory of the exact size, so that the sanitizer sees an access outside.
class UntrustedTest : public testing::Test {
protected:
    void resize(size_t count) {
        storage_ = std::make_unique<std::byte[]>(count);
        bytes = UntrustedBytes::at_address(storage_.get(), count);
        for (size_t i = 0; i < count; ++i) storage_[i] = static_cast<std::byte>(i + 1);
    }
    std::byte& at(size_t offset) { return storage_[offset]; }

    UntrustedBytes bytes;

private:
    std::unique_ptr<std::byte[]> storage_;
};

TEST_F(UntrustedTest, FreezesWhatWasStored) {
    resize(64);
    const Record record = {7, 1500, {1, ~uint64_t{0}, 3}};
    const auto place = bytes.at<Record>(24);
    ASSERT_TRUE(place);
    place->store(record);
    EXPECT_EQ(place->freeze(), record);
    EXPECT_EQ(at(23), std::byte{24});
    EXPECT_EQ(at(24 + sizeof(Record)), static_cast<std::byte>(25 + sizeof(Record)));
}

TEST_F(UntrustedTest, RefusesWhatDoesNotFit) {
    resize(64);
    EXPECT_TRUE(bytes.at<Record>(32));
    EXPECT_FALSE(bytes.at<Record>(40));
    EXPECT_FALSE(bytes.at<uint64_t>(4)) << "unaligned";
    EXPECT_FALSE(bytes.at<uint64_t>(64));
    EXPECT_FALSE(bytes.at<uint64_t>(UINT64_MAX - 7));
    EXPECT_TRUE(bytes.atomic_at<uint32_t>(60));
    EXPECT_FALSE(bytes.atomic_at<uint32_t>(62));
    EXPECT_FALSE(bytes.atomic_at<uint64_t>(60));
}

TEST_F(UntrustedTest, RangesDoNotOverflow) {
    resize(64);
    EXPECT_EQ(bytes.subspan(10, 54).value().size(), 54u);
    EXPECT_TRUE(bytes.subspan(64, 0));
    EXPECT_FALSE(bytes.subspan(10, 55));
    EXPECT_FALSE(bytes.subspan(65, 0));
    EXPECT_FALSE(bytes.subspan(UINT64_MAX, 2));
    EXPECT_FALSE(bytes.subspan(2, UINT64_MAX));
    std::array<std::byte, 8> some;
    EXPECT_FALSE(bytes.freeze(57, some));
    EXPECT_FALSE(bytes.freeze(UINT64_MAX - 3, some));
    EXPECT_FALSE(bytes.store(57, some));
    EXPECT_TRUE(bytes.freeze(56, some));
    EXPECT_EQ(bytes.first(100).size(), 64u);
}

TEST_F(UntrustedTest, ArraysWrapAndStayInside) {
    resize(64);
    EXPECT_FALSE(bytes.array_at<uint64_t>(0, 6)) << "no power of two";
    EXPECT_FALSE(bytes.array_at<uint64_t>(0, 16));
    EXPECT_FALSE(bytes.array_at<uint64_t>(0, 0));
    const auto array = bytes.array_at<uint64_t>(32, 4);
    ASSERT_TRUE(array);
    array->wrapped(3).store(5);
    EXPECT_EQ(array->wrapped(UINT32_MAX).freeze(), 5u);
    EXPECT_EQ(array->wrapped(7).freeze(), 5u);
}

TEST_F(UntrustedTest, CopiesAnyAlignmentAndLength) {
    resize(96);
    for (size_t offset = 0; offset < 17; ++offset) {
        for (size_t length = 0; length < 70; ++length) {
            std::vector<std::byte> copy(length);
            ASSERT_TRUE(bytes.freeze(offset, copy));
            for (size_t i = 0; i < length; ++i) ASSERT_EQ(copy[i], at(offset + i));
        }
    }
}

TEST_F(UntrustedTest, StoresAnyAlignmentAndLength) {
    for (size_t offset = 0; offset < 9; ++offset) {
        for (size_t length = 0; length < 70; ++length) {
            resize(96);
            ASSERT_TRUE(bytes.store(offset, std::vector(length, std::byte{0xee})));
            for (size_t i = 0; i < 96; ++i) {
                const bool inside = offset <= i && i < offset + length;
                ASSERT_EQ(at(i), inside ? std::byte{0xee} : static_cast<std::byte>(i + 1));
            }
        }
    }
}

TEST_F(UntrustedTest, StoresFromOtherSharedMemory) {
    std::vector<std::byte> other(600);
    for (size_t i = 0; i < other.size(); ++i) other[i] = static_cast<std::byte>(i * 7);
    const auto source = UntrustedBytes::over(other);
    for (const size_t length : {size_t{0}, size_t{1}, size_t{255}, size_t{256}, size_t{257}}) {
        for (size_t begin = 0; begin < 9; ++begin) {
            resize(400);
            ASSERT_TRUE(bytes.store(begin, source.subspan(3, length).value()));
            for (size_t i = 0; i < 400; ++i) {
                const bool inside = begin <= i && i < begin + length;
                ASSERT_EQ(at(i), inside ? other[3 + i - begin] : static_cast<std::byte>(i + 1));
            }
        }
    }
    resize(64);
    EXPECT_FALSE(bytes.store(1, source.first(64)));
    EXPECT_FALSE(bytes.store(65, source.first(0)));
    EXPECT_EQ(at(1), std::byte{2});
}

}  // namespace
}  // namespace annulus
