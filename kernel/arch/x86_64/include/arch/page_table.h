// SPDX-License-Identifier: MIT
// Four-level page tables: map, unmap, protect, query and tear down. No hardware access, so the same
// code is tested on the host.
//
//   level 4 (root) -> level 3 -> level 2 -> level 1 -> 4 KiB page
//                     1 GiB      2 MiB                 an entry that maps a page is a leaf
//
// Invariants: an entry is zero or present. An entry that points to a table carries in its ignored
// bits (61:52) how many entries of that table are present, so that tearing down a sparse address
// space visits only tables with something in them. Accessed and dirty bits are set beforehand: the
// CPU then never writes to a table, and plain relaxed stores are enough.
// Locking: the caller serialises all changes to one root; the CPU may walk it at any time.
// Invalidation of cached translations is the caller's duty after unmap, protect and clear.
#pragma once

#include "arch/address.h"
#include "base/result.h"

#include <stdint.h>

#include <concepts>

namespace annulus::arch {

// What a mapping allows. Write and execute exclude each other.
enum class PageFlags : uint8_t {
    none = 0,
    read = 1,  // always required: x86 cannot withhold it
    write = 2,
    execute = 4,
    user = 8,       // reachable from user mode: exactly the addresses of the lower half
    uncached = 16,  // device registers
    global = 32,    // same in all address spaces: exactly the kernel's own mappings
};

constexpr PageFlags operator|(PageFlags a, PageFlags b) {
    return static_cast<PageFlags>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b));
}
constexpr bool has(PageFlags flags, PageFlags wanted) {
    return (static_cast<uint8_t>(flags) & static_cast<uint8_t>(wanted)) ==
           static_cast<uint8_t>(wanted);
}

// The level of the leaf entry.
enum class PageSize : uint8_t { small = 1, large = 2, huge = 3 };

constexpr uint64_t bytes_of(PageSize size) {
    return uint64_t{1} << (3 + 9 * static_cast<unsigned>(size));
}

struct Mapping {
    PhysicalAddress physical;  // of the page's first byte
    PageSize size;
    PageFlags flags;
};

// How tables are reached and paid for.
template <typename M>
concept TableMemory = requires(M& memory, PhysicalAddress table) {
    // The 512 entries of a table.
    { memory.entries(table) } -> std::same_as<uint64_t*>;
    // A zeroed page, or why there is none (no_budget, no_memory).
    { memory.allocate_table() } -> std::same_as<Result<PhysicalAddress>>;
    { memory.free_table(table) } -> std::same_as<void>;
};

// Bits of an entry (Intel SDM vol. 3, 4.5.4).
namespace page_entry {
inline constexpr uint64_t present = 1, write = 2, user = 4, write_through = 8, no_cache = 16;
inline constexpr uint64_t accessed = 32, dirty = 64, leaf = 128, global = 256;
inline constexpr uint64_t no_execute = uint64_t{1} << 63;
inline constexpr uint64_t address_mask = 0x000ffffffffff000;
inline constexpr uint64_t count_one = uint64_t{1} << 52;
inline constexpr uint64_t count_mask = uint64_t{0x3ff} << 52;

constexpr unsigned shift_of(unsigned level) { return 3 + 9 * level; }
constexpr unsigned index_of(uint64_t address, unsigned level) {
    return static_cast<unsigned>(address >> shift_of(level)) & 511;
}
constexpr bool is_leaf(uint64_t entry, unsigned level) { return level == 1 || (entry & leaf); }

constexpr uint64_t encode(PageFlags flags, unsigned level) {
    uint64_t entry = present | accessed | dirty;
    if (has(flags, PageFlags::write)) entry |= write;
    if (has(flags, PageFlags::user)) entry |= user;
    if (has(flags, PageFlags::global)) entry |= global;
    if (has(flags, PageFlags::uncached)) entry |= no_cache | write_through;
    if (!has(flags, PageFlags::execute)) entry |= no_execute;
    if (level > 1) entry |= leaf;
    return entry;
}

constexpr Mapping decode(uint64_t entry, unsigned level) {
    PageFlags flags = PageFlags::read;
    if (entry & write) flags = flags | PageFlags::write;
    if (entry & user) flags = flags | PageFlags::user;
    if (entry & global) flags = flags | PageFlags::global;
    if (entry & no_cache) flags = flags | PageFlags::uncached;
    if (!(entry & no_execute)) flags = flags | PageFlags::execute;
    const uint64_t offset_mask = (uint64_t{1} << shift_of(level)) - 1;
    return {entry & address_mask & ~offset_mask, static_cast<PageSize>(level), flags};
}

inline uint64_t load(const uint64_t& entry) { return __atomic_load_n(&entry, __ATOMIC_RELAXED); }
// Release: the CPU that walks to a new table or page sees it as it was when it was entered.
inline void store(uint64_t& entry, uint64_t value) {
    __atomic_store_n(&entry, value, __ATOMIC_RELEASE);
}
}  // namespace page_entry

// A view of one tree of tables: copied freely, owns nothing.
template <TableMemory Memory>
class PageTable {
public:
    PageTable(Memory& memory, PhysicalAddress root) : memory_(&memory), root_(root) {}

    // A new root for user mappings, whose upper half is that of `kernel_root`. The caller owns it
    // and gives it back with clear() and free_root().
    static Result<PhysicalAddress> create_root(Memory& memory, PhysicalAddress kernel_root) {
        const PhysicalAddress root = TRY(memory.allocate_table());
        const uint64_t* from = memory.entries(kernel_root);
        uint64_t* to = memory.entries(root);
        for (unsigned i = 256; i < 512; ++i) to[i] = from[i];
        return root;
    }

    PhysicalAddress root() const { return root_; }
    void free_root() { memory_->free_table(root_); }

    // Maps one page. bad_argument: misaligned, not readable, or user flag and half of the address
    // space disagree; permission: writable and executable; exists: something is mapped there (for
    // a larger page also when only an empty table is); else what allocate_table said. After a
    // failure nothing is mapped; tables made on the way stay, to be freed by clear().
    Result<void> map(uint64_t address, PhysicalAddress physical, PageSize size, PageFlags flags) {
        const auto level = static_cast<unsigned>(size);
        TRY(check_flags(address, flags));
        if (((address | physical) & (bytes_of(size) - 1)) ||
            (physical & ~page_entry::address_mask)) {
            return Error::bad_argument;
        }
        const Place at = TRY(make_place(address, level, flags));
        uint64_t& entry = at.table[page_entry::index_of(address, level)];
        if (page_entry::load(entry)) return Error::exists;
        page_entry::store(entry, physical | page_entry::encode(flags, level));
        page_entry::store(*at.parent, *at.parent + page_entry::count_one);
        return {};
    }

    // The small pages of one aligned 2 MiB, found once for whoever enters several with the same
    // rights. Addresses lie in those 2 MiB. Good as long as no tables are freed.
    class SmallPages {
    public:
        bool present(uint64_t address) const { return page_entry::load(at(address)) != 0; }
        // Which of the pages from `address` on are not there: a bit for each, 32 at most.
        uint32_t missing(uint64_t address, unsigned count) const {
            const uint64_t* const entries = &at(address);
            uint32_t bits = 0;
            for (unsigned i = count; i-- > 0;) {
                bits = bits << 1 | (page_entry::load(entries[i]) == 0 ? 1u : 0u);
            }
            return bits;
        }
        // The same for pages that are there.
        PhysicalAddress physical(uint64_t address) const {
            return page_entry::load(at(address)) & page_entry::address_mask;
        }
        // Nothing is there yet; `physical` is a page's.
        void enter(uint64_t address, PhysicalAddress physical) {
            page_entry::store(at(address), physical | rights_);
            page_entry::store(*parent_, *parent_ + page_entry::count_one);
        }
        // Gives a page that is there these rights.
        void protect(uint64_t address) {
            page_entry::store(at(address), physical(address) | rights_);
        }

    private:
        friend class PageTable;
        SmallPages(uint64_t* table, uint64_t* parent, uint64_t rights)
            : table_(table), parent_(parent), rights_(rights) {}
        uint64_t& at(uint64_t address) const { return table_[page_entry::index_of(address, 1)]; }

        uint64_t* table_;
        uint64_t* parent_;
        uint64_t rights_;
    };
    // Makes the tables on the way. Errors as for map; exists: only for a larger page.
    Result<SmallPages> small_pages(uint64_t address, PageFlags flags) {
        TRY(check_flags(address, flags));
        const Place at = TRY(make_place(address, 1, flags));
        return SmallPages(at.table, at.parent, page_entry::encode(flags, 1));
    }

    // What is mapped at an address, wherever in the page it lies. not_found: nothing.
    Result<Mapping> query(uint64_t address) const {
        const Walk walk = find(address);
        if (!walk.entry) return Error::not_found;
        return page_entry::decode(*walk.entry, walk.level);
    }

    // Removes the page that begins at `address` and says what it was. bad_argument: a larger page
    // covers the address but begins elsewhere.
    Result<Mapping> unmap(uint64_t address) {
        const Walk walk = find(address);
        if (!walk.entry) return Error::not_found;
        const Mapping mapping = page_entry::decode(*walk.entry, walk.level);
        if (address & (bytes_of(mapping.size) - 1)) return Error::bad_argument;
        page_entry::store(*walk.entry, 0);
        page_entry::store(*walk.parent, *walk.parent - page_entry::count_one);
        return mapping;
    }

    // Gives the page that begins at `address` other rights. Errors as for map and unmap.
    Result<void> protect(uint64_t address, PageFlags flags) {
        TRY(check_flags(address, flags));
        const Walk walk = find(address);
        if (!walk.entry) return Error::not_found;
        const Mapping mapping = page_entry::decode(*walk.entry, walk.level);
        if (address & (bytes_of(mapping.size) - 1)) return Error::bad_argument;
        page_entry::store(*walk.entry, mapping.physical | page_entry::encode(flags, walk.level));
        return {};
    }

    enum class Tables : uint8_t { keep, free };

    // Removes pages from `cursor` up to `end`, in order, handing each to on_page(address, mapping),
    // and moves the cursor. Does at most `limit` units of work (a page or table is one, 16 empty
    // entries are one) and returns true when it is finished; otherwise call it again. Tables that
    // are or become empty are freed when asked, which is only right once no CPU can load this
    // root. A page that begins before `end` is removed whole.
    template <typename OnPage>
    bool clear(uint64_t& cursor, uint64_t end, unsigned limit, Tables tables, OnPage&& on_page) {
        uint64_t work = uint64_t{limit} * empty_entries_per_unit;
        while (cursor < end) {
            if (work == 0) return false;
            const uint64_t cost = clear_step(cursor, end, work, tables, on_page);
            work -= cost < work ? cost : work;
        }
        return true;
    }

private:
    static constexpr unsigned empty_entries_per_unit = 16;

    struct Walk {
        uint64_t* entry;   // the leaf, or null
        uint64_t* parent;  // the entry that points to the leaf's table
        unsigned level;
    };

    static Result<void> check_flags(uint64_t address, PageFlags flags) {
        const bool lower_half = address < (uint64_t{1} << 47);
        const bool upper_half = address >= ~uint64_t{0} << 47;
        if (!(has(flags, PageFlags::user) ? lower_half : upper_half)) return Error::bad_argument;
        if (!has(flags, PageFlags::read)) return Error::bad_argument;
        if (has(flags, PageFlags::write | PageFlags::execute)) return Error::permission;
        return {};
    }

    // Rights are restricted at the leaf alone.
    static uint64_t table_entry(PhysicalAddress table, PageFlags flags) {
        return table | page_entry::present | page_entry::write | page_entry::accessed |
               (has(flags, PageFlags::user) ? page_entry::user : 0);
    }

    struct Place {
        uint64_t* table;
        uint64_t* parent;  // the entry that points to it
    };
    // The table of a level, below the root, with the entry of an address; made if it is missing.
    Result<Place> make_place(uint64_t address, unsigned level, PageFlags flags) {
        uint64_t* table = memory_->entries(root_);
        uint64_t* parent = nullptr;
        for (unsigned at = 4; at > level; --at) {
            uint64_t& entry = table[page_entry::index_of(address, at)];
            if (!page_entry::load(entry)) {
                const PhysicalAddress next = TRY(memory_->allocate_table());
                page_entry::store(entry, table_entry(next, flags));
                if (parent) page_entry::store(*parent, *parent + page_entry::count_one);
            } else if (page_entry::is_leaf(entry, at)) {
                return Error::exists;
            }
            parent = &entry;
            table = memory_->entries(entry & page_entry::address_mask);
        }
        return Place{table, parent};
    }

    Walk find(uint64_t address) const {
        uint64_t* parent = nullptr;
        uint64_t* table = memory_->entries(root_);
        for (unsigned level = 4; level > 0; --level) {
            uint64_t& entry = table[page_entry::index_of(address, level)];
            if (!page_entry::load(entry)) break;
            if (level < 4 && page_entry::is_leaf(entry, level)) return {&entry, parent, level};
            parent = &entry;
            table = memory_->entries(entry & page_entry::address_mask);
        }
        return {nullptr, nullptr, 0};
    }

    static void drop(uint64_t& entry, uint64_t* parent) {
        page_entry::store(entry, 0);
        if (parent) page_entry::store(*parent, *parent - page_entry::count_one);
    }

    // One present entry, or a run of at most `work` empty ones. Returns what it cost.
    template <typename OnPage>
    uint64_t clear_step(uint64_t& cursor, uint64_t end, uint64_t work, Tables tables,
                        OnPage&& on_page) {
        uint64_t* parent = nullptr;
        uint64_t* table = memory_->entries(root_);
        for (unsigned level = 4;; --level) {
            const uint64_t span = uint64_t{1} << page_entry::shift_of(level);
            uint64_t& entry = table[page_entry::index_of(cursor, level)];
            const uint64_t value = page_entry::load(entry);
            if (!value) return skip_empty(cursor, end, work, table, level);
            if (level < 4 && page_entry::is_leaf(value, level)) {
                const uint64_t address = cursor & ~(span - 1);
                drop(entry, parent);
                // The cursor stays in a table that became empty, so that the next step frees it.
                const bool stay = tables == Tables::free && !(*parent & page_entry::count_mask);
                if (!stay) cursor = address + span;
                on_page(address, page_entry::decode(value, level));
                return empty_entries_per_unit;
            }
            if (!(value & page_entry::count_mask)) {
                if (tables == Tables::free) {
                    drop(entry, parent);
                    memory_->free_table(value & page_entry::address_mask);
                }
                const bool stay =
                    tables == Tables::free && parent && !(*parent & page_entry::count_mask);
                if (!stay) cursor = (cursor & ~(span - 1)) + span;
                return empty_entries_per_unit;
            }
            parent = &entry;
            table = memory_->entries(value & page_entry::address_mask);
        }
    }

    // The cursor's entry is empty.
    static uint64_t skip_empty(uint64_t& cursor, uint64_t end, uint64_t work, const uint64_t* table,
                               unsigned level) {
        const uint64_t span = uint64_t{1} << page_entry::shift_of(level);
        const uint64_t address = cursor & ~(span - 1);
        const uint64_t first = page_entry::index_of(cursor, level);
        const uint64_t left = (end - address - 1) / span + 1;  // entries up to `end`
        uint64_t stop = 512;
        if (work < stop - first) stop = first + work;
        if (left < stop - first) stop = first + left;
        uint64_t index = first + 1;
        while (index < stop) {
            if (index % line == 0 && index + line <= stop && line_is_empty(table + index)) {
                index += line;
            } else if (page_entry::load(table[index])) {
                break;
            } else {
                ++index;
            }
        }
        cursor = address + (index - first) * span;
        return index - first;
    }

    // Tables are mostly empty, so entries are looked at by cache lines.
    static constexpr unsigned line = 8;
    static bool line_is_empty(const uint64_t* entries) {
        uint64_t any = 0;
        for (unsigned i = 0; i < line; ++i) any |= page_entry::load(entries[i]);
        return any == 0;
    }

    Memory* memory_;
    PhysicalAddress root_;
};

}  // namespace annulus::arch
