// SPDX-License-Identifier: MIT
// The data of one file: pages by number, with holes that read as zeros. Policy-free.
//
//   height 0   root is page 0
//   height 1   root is a table of 512 pages
//   height 2   root is a table of 512 tables
//
// Every page and table is charged to the account of the file's owner as one page; that account is
// used by the file itself, too, so it outlives every call here.
#pragma once

#include "base/untrusted.h"
#include "services/memory_files/accounts.h"

#include <cstddef>

namespace annulus::memory_files {

inline constexpr size_t page_bytes = 4096;
inline constexpr size_t table_entries = 512;
inline constexpr unsigned height_max = 2;

// The largest file: 512 * 512 pages, 1 GiB.
inline constexpr uint64_t map_bytes_max = uint64_t{table_entries} * table_entries * page_bytes;

class PageMap {
public:
    PageMap() = default;
    PageMap(const PageMap&) = delete;
    PageMap& operator=(const PageMap&) = delete;
    ~PageMap() = default;  // everything was cut off before

    // Fills `space` from `offset` on; holes give zeros. The range lies below map_bytes_max.
    void read(uint64_t offset, UntrustedBytes space) const;

    // Writes from `offset` on, and answers how many bytes: fewer than all, but at least one, if a
    // later page could not be had. limit, no_budget.
    Result<size_t> write(uint64_t offset, UntrustedBytes bytes, Accounts& accounts,
                         Account& account);

    // No page and no table is in use.
    bool empty() const { return root_ == nullptr; }

    // Forgets what lies at `size` and beyond: it reads as zeros.
    void cut(uint64_t size, Accounts& accounts, Account& account);

private:
    struct Page {
        std::byte bytes[page_bytes];
    };
    struct Table {
        void* entries[table_entries];
    };

    Page* find(uint64_t number) const;  // null: a hole
    Result<Page*> find_or_make(uint64_t number, Accounts& accounts, Account& account);
    bool cut_table(void*& place, unsigned height, uint64_t keep, Accounts& accounts,
                   Account& account);

    void* root_ = nullptr;  // a Page at height 0, else a Table
    unsigned height_ = 0;
};

}  // namespace annulus::memory_files
