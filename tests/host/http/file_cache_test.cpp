// SPDX-License-Identifier: MIT
// The cache of small files: what it gives, for how long, and what it refuses to hold.
#include "services/http/session/file_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace annulus::http {
namespace {

CachedFile* keep(FileCache& cache, std::string_view path, size_t size, uint64_t now,
                 char fill = 'x') {
    std::unique_ptr<std::byte[]> bytes(new std::byte[size]);
    std::fill_n(bytes.get(), size, static_cast<std::byte>(fill));
    return cache.keep(path, std::move(bytes), size, now);
}

TEST(file_cache, gives_what_was_kept_until_its_lifetime_is_over) {
    FileCache cache;
    EXPECT_EQ(cache.find("a", 100), nullptr);
    CachedFile* const kept = keep(cache, "a", 10, 100);
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->bytes().size(), 10u);
    EXPECT_EQ(cache.find("b", 100), nullptr);
    EXPECT_EQ(cache.find("a", 100 + FileCache::lifetime), kept);
    EXPECT_EQ(cache.find("a", 101 + FileCache::lifetime), nullptr);
    cache.release(kept);
    cache.release(kept);
}

TEST(file_cache, the_newest_reading_stands_and_older_holders_keep_theirs) {
    FileCache cache;
    CachedFile* const old = keep(cache, "a", 10, 1, 'o');
    CachedFile* const now = keep(cache, "a", 20, 2, 'n');
    CachedFile* const found = cache.find("a", 2);
    EXPECT_EQ(found, now);
    EXPECT_EQ(old->bytes()[9], static_cast<std::byte>('o'));
    EXPECT_EQ(cache.total(), 30u);
    cache.release(old);
    EXPECT_EQ(cache.total(), 20u);
    cache.release(found);
    cache.release(now);
    EXPECT_EQ(cache.total(), 20u);
}

TEST(file_cache, refuses_what_is_too_large) {
    FileCache cache;
    EXPECT_EQ(keep(cache, "a", FileCache::file_max + 1, 1), nullptr);
    CachedFile* const largest = keep(cache, "a", FileCache::file_max, 1);
    EXPECT_NE(largest, nullptr);
    cache.release(largest);
    const std::string longest(CachedFile::path_max, 'p');
    CachedFile* const long_path = keep(cache, longest, 1, 1);
    EXPECT_NE(long_path, nullptr);
    cache.release(long_path);
    EXPECT_EQ(keep(cache, longest + "p", 1, 1), nullptr);
}

TEST(file_cache, all_paths_together_hold_a_bounded_amount_even_while_they_are_used) {
    FileCache cache;
    std::vector<CachedFile*> held;
    for (unsigned i = 0; i < 1000; i++) {
        CachedFile* const file = keep(cache, std::to_string(i), FileCache::file_max, i);
        if (file != nullptr) held.push_back(file);
        EXPECT_LE(cache.total(), FileCache::total_max);
    }
    EXPECT_EQ(held.size(), FileCache::total_max / FileCache::file_max);
    // All of them are total_max bytes, and another would be total_max + 1.
    EXPECT_EQ(cache.total(), FileCache::total_max);
    EXPECT_EQ(keep(cache, "more", 1, 1000), nullptr);
    for (CachedFile* const file : held) cache.release(file);
    // Places that were taken by others went with their holders; what is left can be replaced.
    CachedFile* const later = keep(cache, "later", FileCache::file_max, 2000);
    EXPECT_NE(later, nullptr);
    cache.release(later);
}

}  // namespace
}  // namespace annulus::http
