// SPDX-License-Identifier: MIT
// Property test: random operations on memory objects and address spaces against a simple model.
//
// Two CPUs that keep their cached translations as long as they may read and write words in two
// address spaces, while memory is mapped, unmapped, protected, cloned, pinned and loses its payer.
// Every word that is read must be the last one written there. At the end nothing is left.
#include "tests/host/memory_objects/machine.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>

namespace annulus::test {
namespace {

using kernel::AddressSpace;
using kernel::Budget;
using kernel::GraceItem;
using kernel::MemoryObject;
using kernel::Ref;

constexpr uint64_t page = abi::page_size;
constexpr uint64_t window = uint64_t{1} << 30;  // fixed mappings collide here
constexpr uint64_t window_pages = 80;

// The first word of each page of a root object.
struct Content {
    std::vector<uint64_t> words;
};

struct Holder {
    Ref<MemoryObject> memory;
    std::shared_ptr<Content> content;
    uint64_t first;  // page of the root
};

struct ModelPage {
    std::shared_ptr<Content> content;
    uint64_t index;
    uint64_t access;
    uint64_t allowed;
};

struct ModelSpace {
    Ref<Budget> budget;
    AddressSpace space;
    std::map<uint64_t, ModelPage> pages;
    std::set<uint64_t> undefined;  // until the next grace period
};

struct Pin {
    Ref<MemoryObject> memory;
    std::shared_ptr<Content> content;
    uint64_t index;
    uint64_t root_index;
    bool dead;
};

struct CloneInMaking : GraceItem {
    Ref<MemoryObject> clone;
    Ref<MemoryObject> root;
    std::shared_ptr<Content> source;
    uint64_t first;
    std::vector<std::set<uint64_t>> words;  // that each page had meanwhile
    unsigned phase = 0;
};

class World {
public:
    explicit World(uint64_t seed) : random_(seed) {
        for (auto& payer : payers_) payer = machine_.budget(700, 100, 1 << 18);
        for (unsigned i = 0; i < 2; ++i) {
            spaces_[i].budget = machine_.budget(400, 300, 1 << 17);
            EXPECT_TRUE(AddressSpace::create(spaces_[i].space, *spaces_[i].budget, seed + i).ok());
            machine_.load(i, &spaces_[i].space);
        }
    }

    void step() {
        switch (pick(16)) {
            case 0: return make();
            case 1: return begin_clone();
            case 2: return advance_clone();
            case 3: return make_range();
            case 4:
            case 5: return map();
            case 6: return unmap();
            case 7: return protect();
            case 8: return copy();
            case 9: return pin();
            case 10: return drop();
            case 11: return pass_time();
            default:
                for (unsigned i = 0; i < 8; ++i) access();
        }
    }

    void finish() {
        while (clone_) advance_clone();
        holders_.clear();
        while (!pins_.empty()) unpin(0);
        machine_.load(0, nullptr);
        machine_.load(1, nullptr);
        for (ModelSpace& space : spaces_) {
            while (!space.space.destroy_some()) machine_.advance();
        }
        machine_.settle();
        for (auto& payer : payers_) expect_unused(*payer);
        for (ModelSpace& space : spaces_) expect_unused(*space.budget);
        EXPECT_EQ(machine_.pages_in_use(), before_);
    }

    uint64_t reads = 0;
    uint64_t clones = 0;
    uint64_t deaths = 0;
    uint64_t unmapped_at_once = 0;

private:
    uint64_t pick(uint64_t limit) { return random_() % limit; }
    Budget& payer() { return *payers_[pick(2)]; }
    Holder* holder() { return holders_.empty() ? nullptr : &holders_[pick(holders_.size())]; }

    static void expect_unused(Budget& budget) {
        abi::BudgetLedger ledger;
        budget.read_ledger(ledger);
        for (unsigned i = 0; i < abi::resource_count; ++i) EXPECT_EQ(ledger.used[i], 0u) << i;
        EXPECT_EQ(ledger.objects, 0u);
    }

    void make() {
        if (holders_.size() > 12) return;
        const uint64_t kinds[] = {0, abi::memory_on_demand, abi::memory_contiguous};
        const uint64_t pages = 1 + pick(pick(4) ? 20 : 90);
        auto made = MemoryObject::create(payer(), pages, kinds[pick(3)]);
        if (!made.ok()) return;
        Ref<MemoryObject> memory = std::move(made).value();
        if (memory->memory_kind() != kernel::MemoryKind::on_demand) {
            for (uint64_t done = 0; done < pages * page;) {
                ASSERT_TRUE(memory->commit_some(done, pages * page).ok());
            }
        }
        auto content = std::make_shared<Content>();
        content->words.resize(pages);
        holders_.push_back({std::move(memory), content, 0});
    }

    void make_range() {
        Holder* from = holder();
        if (!from || holders_.size() > 12) return;
        const uint64_t first = pick(from->memory->pages());
        const uint64_t pages = 1 + pick(from->memory->pages() - first);
        auto made = from->memory->create_range(payer(), first * page, pages);
        if (!made.ok()) return;
        auto content = from->content;
        holders_.push_back({std::move(made).value(), content, from->first + first});
    }

    void begin_clone() {
        Holder* from = holder();
        if (!from || clone_ || holders_.size() > 12) return;
        const uint64_t first = pick(from->memory->pages());
        const uint64_t pages = 1 + pick(from->memory->pages() - first);
        auto made = from->memory->create_clone(payer(), first * page, pages);
        if (!made.ok()) return;
        clone_.emplace();
        clone_->clone = std::move(made).value();
        clone_->root = Ref<MemoryObject>::share(*from->memory->place()->root);
        clone_->source = from->content;
        clone_->first = from->first + first;
        clone_->words.resize(pages);
        for (uint64_t i = 0; i < pages; ++i) {
            clone_->words[i].insert(from->content->words[clone_->first + i]);
        }
    }

    void advance_clone() {
        if (!clone_) return;
        CloneInMaking& making = *clone_;
        switch (making.phase) {
            case 0: {
                const auto filled = making.root->clone_some(*making.clone, making.first);
                if (!filled.ok() || pick(20) == 0) return give_clone_up();
                if (*filled) ++making.phase;
                return;
            }
            case 1:
                if (pick(30) == 0) return give_clone_up();
                if (!making.root->protect_some(*making.clone, making.first)) return;
                making.flush = true;
                making.done = [](GraceItem& item) { ++static_cast<CloneInMaking&>(item).phase; };
                ++making.phase;
                kernel::grace_after(making);
                return;
            case 2: return pass_time();
            default: return finish_clone();
        }
    }

    void give_clone_up() {
        clone_->root->cancel_clone(*clone_->clone);
        clone_.reset();
    }

    void finish_clone() {
        auto content = std::make_shared<Content>();
        for (uint64_t i = 0; i < clone_->words.size(); ++i) {
            uint64_t word = 0;
            ASSERT_TRUE(clone_->clone->copy_out(i * page, &word, 8).ok());
            ASSERT_TRUE(clone_->words[i].contains(word));
            content->words.push_back(word);
        }
        ++clones;
        holders_.push_back({std::move(clone_->clone), content, 0});
        clone_.reset();
    }

    // A word was written to a page; a clone that is being made may have either.
    void wrote(Content& content, uint64_t index, uint64_t word) {
        content.words[index] = word;
        if (!clone_ || clone_->source.get() != &content) return;
        if (index < clone_->first || index >= clone_->first + clone_->words.size()) return;
        clone_->words[index - clone_->first].insert(word);
    }

    void map() {
        Holder* what = holder();
        if (!what) return;
        ModelSpace& in = spaces_[pick(2)];
        const uint64_t first = pick(what->memory->pages());
        const uint64_t pages = 1 + pick(what->memory->pages() - first);
        const uint64_t accesses[] = {1, 3, 3, 5};
        const uint64_t access = accesses[pick(4)];
        const uint64_t allowed = access | pick(8);
        const bool fixed = pick(2);
        const uint64_t wish = fixed ? window + pick(window_pages) * page : 0;
        const auto mapped = in.space.map(*what->memory, first * page, pages * page, wish,
                                         access | (fixed ? abi::map_fixed : 0), allowed);
        bool overlaps = false;
        bool undefined = false;
        for (uint64_t i = 0; fixed && i < pages; ++i) {
            overlaps = overlaps || in.pages.contains(wish + i * page);
            undefined = undefined || in.undefined.contains(wish + i * page);
        }
        if (!mapped.ok()) {
            if (mapped.error() == Error::overlap) {
                EXPECT_TRUE(overlaps || undefined);
            } else {
                EXPECT_EQ(mapped.error(), Error::no_budget);
            }
            return;
        }
        EXPECT_FALSE(overlaps);
        for (uint64_t i = 0; i < pages; ++i) {
            in.pages[*mapped + i * page] = {what->content, what->first + first + i, access,
                                            allowed};
            in.undefined.erase(*mapped + i * page);
        }
    }

    // A range around a page that is mapped.
    std::pair<uint64_t, uint64_t> some_range(const ModelSpace& in) {
        auto at = in.pages.begin();
        std::advance(at, static_cast<long>(pick(in.pages.size())));
        return {at->first, at->first + (1 + pick(24)) * page};
    }

    void unmap() {
        ModelSpace& in = spaces_[pick(2)];
        if (in.pages.empty()) return;
        const auto [begin, end] = some_range(in);
        machine_.run_on(static_cast<unsigned>(pick(2)));
        bool flush = false;
        for (uint64_t reached = begin; reached < end;) {
            const auto next = in.space.unmap(reached, end, flush);
            if (!next.ok()) {
                EXPECT_EQ(next.error(), Error::no_budget);
                if (reached == begin) return;
                // What has been unmapped is not told; forget nothing but that.
                forget(in, begin, reached, flush);
                return;
            }
            reached = *next;
        }
        forget(in, begin, end, flush);
        unmapped_at_once += flush ? 0 : 1;
    }

    // Without a flush to wait for, nobody has a translation from now on.
    static void forget(ModelSpace& in, uint64_t begin, uint64_t end, bool flush) {
        for (uint64_t at = begin; at < end; at += page) {
            if (in.pages.erase(at) && flush) in.undefined.insert(at);
        }
    }

    void protect() {
        ModelSpace& in = spaces_[pick(2)];
        if (in.pages.empty()) return;
        const auto [begin, end] = some_range(in);
        const uint64_t accesses[] = {1, 3, 5};
        const uint64_t access = accesses[pick(3)];
        bool flush = false;
        uint64_t reached = begin;
        while (reached < end) {
            const auto next = in.space.protect(reached, end, access, flush);
            if (!next.ok()) {
                const auto at = in.pages.find(reached);
                if (next.error() == Error::out_of_range) {
                    EXPECT_TRUE(at == in.pages.end());
                } else if (next.error() == Error::permission) {
                    EXPECT_TRUE(access & ~at->second.allowed);
                } else {
                    EXPECT_EQ(next.error(), Error::no_budget);
                }
                break;
            }
            for (; reached < *next; reached += page) {
                ASSERT_TRUE(in.pages.contains(reached));
                in.pages[reached].access = access;
            }
        }
        if (!flush) return;
        machine_.flush();
        settled();
    }

    void access() {
        const unsigned cpu = static_cast<unsigned>(pick(2));
        if (pick(10) == 0) machine_.load(cpu, &spaces_[pick(2)].space);
        ModelSpace& in = machine_.loaded(cpu) == &spaces_[0].space ? spaces_[0] : spaces_[1];
        uint64_t address = window + pick(window_pages) * page;
        if (pick(4) && !in.pages.empty()) address = some_range(in).first;
        const auto found = in.pages.find(address);
        if (found == in.pages.end()) {
            if (in.undefined.contains(address)) return;
            EXPECT_EQ(machine_.read(cpu, address).error(), Error::bad_address);
            return;
        }
        ModelPage& at = found->second;
        if (pick(2)) {
            const auto word = machine_.read(cpu, address);
            if (!word.ok()) return expect_short(word.error());
            ASSERT_EQ(*word, at.content->words[at.index]);
            ++reads;
            return;
        }
        const uint64_t word = ++last_word_;
        const auto written = machine_.write(cpu, address, word);
        if (!(at.access & abi::map_write)) {
            EXPECT_EQ(written.error(), Error::permission);
        } else if (written.ok()) {
            wrote(*at.content, at.index, word);
        } else {
            expect_short(written.error());
        }
    }

    static void expect_short(Error error) { EXPECT_EQ(error, Error::no_budget); }

    void copy() {
        Holder* with = holder();
        if (!with) return;
        const uint64_t index = pick(with->memory->pages());
        uint64_t word = 0;
        ASSERT_TRUE(with->memory->copy_out(index * page, &word, 8).ok());
        ASSERT_EQ(word, with->content->words[with->first + index]);
        word = ++last_word_;
        const auto written = with->memory->copy_in(index * page, &word, 8);
        if (written.ok()) return wrote(*with->content, with->first + index, word);
        EXPECT_TRUE(written.error() == Error::no_budget || written.error() == Error::busy);
    }

    void pin() {
        if (pins_.size() > 4) return unpin(pick(pins_.size()));
        Holder* with = holder();
        if (!with) return;
        const uint64_t index = pick(with->memory->pages());
        const auto pinned = with->memory->pin(*payers_[0], index, 1);
        if (!pinned.ok()) {
            EXPECT_TRUE(pinned.error() == Error::no_budget || pinned.error() == Error::busy);
            return;
        }
        pins_.push_back({Ref<MemoryObject>::share(*with->memory), with->content, index,
                         with->first + index, false});
    }

    void unpin(uint64_t which) {
        Pin& pin = pins_[which];
        auto* word = static_cast<uint64_t*>(pin.memory->pinned_address(pin.index));
        if (!pin.dead) EXPECT_EQ(*word, pin.content->words[pin.root_index]);
        *word = ++last_word_;
        wrote(*pin.content, pin.root_index, *word);
        pin.memory->unpin(*payers_[0], pin.index, 1);
        pins_.erase(pins_.begin() + static_cast<long>(which));
    }

    // Closes a handle; or its payer dies, and all handles to the memory and its parts go.
    void drop() {
        if (holders_.empty()) return;
        const uint64_t which = pick(holders_.size());
        if (pick(3)) {
            holders_.erase(holders_.begin() + static_cast<long>(which));
            return;
        }
        const auto content = holders_[which].content;
        if (clone_ && clone_->source == content) return;
        kernel::end_object(*holders_[which].memory->place()->root);
        ++deaths;
        std::erase_if(holders_, [&](const Holder& holder) { return holder.content == content; });
    }

    void pass_time() {
        if (pick(2)) {
            machine_.advance();
            return;
        }
        machine_.settle();
        settled();
    }
    void settled() {
        for (ModelSpace& space : spaces_) space.undefined.clear();
    }

    Machine machine_{4096};
    uint64_t before_ = machine_.pages_in_use();
    std::mt19937_64 random_;
    Ref<Budget> payers_[2];
    ModelSpace spaces_[2];
    std::vector<Holder> holders_;
    std::vector<Pin> pins_;
    std::optional<CloneInMaking> clone_;
    uint64_t last_word_ = 0;
};

TEST(RandomMemory, EveryWordIsTheLastOneWrittenAndNothingIsLeft) {
    uint64_t reads = 0;
    uint64_t clones = 0;
    uint64_t deaths = 0;
    uint64_t unmapped_at_once = 0;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(seed);
        World world(seed);
        for (unsigned i = 0; i < 3000 && !testing::Test::HasFailure(); ++i) world.step();
        if (testing::Test::HasFailure()) return;
        world.finish();
        reads += world.reads;
        clones += world.clones;
        deaths += world.deaths;
        unmapped_at_once += world.unmapped_at_once;
    }
    // The test is worth something only if these happened often.
    EXPECT_GT(reads, 50000u);
    EXPECT_GT(clones, 200u);
    EXPECT_GT(deaths, 200u);
    EXPECT_GT(unmapped_at_once, 200u);
}

}  // namespace
}  // namespace annulus::test
