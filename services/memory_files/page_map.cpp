// SPDX-License-Identifier: MIT
// The data of one file.
#include "services/memory_files/page_map.h"

#include "abi/records.h"

#include <algorithm>
#include <new>

namespace annulus::memory_files {
namespace {

// Pages below one entry of a table at `height`.
constexpr uint64_t pages_per_entry(unsigned height) { return height == 2 ? table_entries : 1; }

// Pages that a map of this height holds.
constexpr uint64_t pages_of(unsigned height) {
    return height == 0 ? 1 : table_entries * pages_per_entry(height);
}

template <typename Kind>
Result<Kind*> make(Accounts& accounts, Account& account) {
    const auto taken = accounts.take_page(account);
    if (!taken.ok()) return taken.status();
    auto* made = new (std::nothrow) Kind();  // zeroed
    if (made != nullptr) return made;
    accounts.release_page(account);
    return Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages));
}

}  // namespace

PageMap::Page* PageMap::find(uint64_t number) const {
    if (number >= pages_of(height_)) return nullptr;
    void* at = root_;
    for (unsigned height = height_; height > 0 && at != nullptr; --height) {
        const uint64_t below = pages_per_entry(height);
        at = static_cast<Table*>(at)->entries[number / below];
        number %= below;
    }
    return static_cast<Page*>(at);
}

Result<PageMap::Page*> PageMap::find_or_make(uint64_t number, Accounts& accounts,
                                             Account& account) {
    if (root_ == nullptr) height_ = 0;
    while (number >= pages_of(height_)) {
        if (root_ != nullptr) {
            auto* table = TRY(make<Table>(accounts, account));
            table->entries[0] = root_;
            root_ = table;
        }
        ++height_;
    }
    void** place = &root_;
    for (unsigned height = height_; height > 0; --height) {
        if (*place == nullptr) *place = TRY(make<Table>(accounts, account));
        const uint64_t below = pages_per_entry(height);
        place = &static_cast<Table*>(*place)->entries[number / below];
        number %= below;
    }
    if (*place == nullptr) *place = TRY(make<Page>(accounts, account));
    return static_cast<Page*>(*place);
}

void PageMap::read(uint64_t offset, UntrustedBytes space) const {
    static constexpr Page zeros = {};
    for (size_t done = 0; done < space.size();) {
        const size_t within = (offset + done) % page_bytes;
        const size_t count = std::min(space.size() - done, page_bytes - within);
        const Page* page = find((offset + done) / page_bytes);
        const std::span from = page != nullptr ? page->bytes : zeros.bytes;
        // It fits: count is what is left, or less.
        static_cast<void>(space.store(done, from.subspan(within, count)));
        done += count;
    }
}

Result<size_t> PageMap::write(uint64_t offset, UntrustedBytes bytes, Accounts& accounts,
                              Account& account) {
    size_t done = 0;
    while (done < bytes.size()) {
        const size_t within = (offset + done) % page_bytes;
        const size_t count = std::min(bytes.size() - done, page_bytes - within);
        const auto page = find_or_make((offset + done) / page_bytes, accounts, account);
        if (!page.ok()) {
            if (done == 0) return page.status();
            break;
        }
        static_cast<void>(bytes.freeze(done, std::span((*page)->bytes).subspan(within, count)));
        done += count;
    }
    return done;
}

void PageMap::cut(uint64_t size, Accounts& accounts, Account& account) {
    const uint64_t whole = size / page_bytes;
    const size_t part = size % page_bytes;
    if (root_ == nullptr) return;
    if (part != 0) {
        // What is cut off inside the last page must read as zeros when the file grows again.
        Page* page = find(whole);
        if (page != nullptr) std::ranges::fill(std::span(page->bytes).subspan(part), std::byte());
    }
    cut_table(root_, height_, whole + (part != 0 ? 1 : 0), accounts, account);
}

// Keeps the first `keep` pages below `place`. True: nothing is left there. At most three levels of
// recursion.
bool PageMap::cut_table(void*& place, unsigned height, uint64_t keep, Accounts& accounts,
                        Account& account) {
    if (place == nullptr) return true;
    if (height == 0) {
        if (keep > 0) return false;
        delete static_cast<Page*>(place);
    } else {
        auto* table = static_cast<Table*>(place);
        const uint64_t below = pages_per_entry(height);
        bool empty = true;
        for (uint64_t i = 0; i < table_entries; ++i) {
            const uint64_t first = i * below;
            const uint64_t kept = keep > first ? keep - first : 0;
            empty = cut_table(table->entries[i], height - 1, kept, accounts, account) && empty;
        }
        if (!empty) return false;
        delete table;
    }
    place = nullptr;
    accounts.release_page(account);
    return true;
}

}  // namespace annulus::memory_files
