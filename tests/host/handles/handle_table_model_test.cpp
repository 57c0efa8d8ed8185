// SPDX-License-Identifier: MIT
// Random operations on two handle tables beside a plain model of them; after each, everything that
// can be seen is compared.
#include "kernel/object/handle_table.h"
#include "kernel/object/semaphore.h"
#include "kernel/schedule/thread.h"
#include "tests/host/handles/fakes.h"

#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <random>
#include <vector>

namespace annulus::kernel {
namespace {

using test::fake_lease;
using test::fake_leases;
using test::HandleWorld;

constexpr uint32_t slots = 13;
constexpr unsigned object_count = 8;
constexpr abi::ObjectType types[] = {abi::ObjectType::semaphore, abi::ObjectType::memory,
                                     abi::ObjectType::table, abi::ObjectType::ring};

struct TestObject : Object {
    explicit TestObject(const ObjectKind& kind) : Object(kind, nullptr, sizeof(TestObject)) {}
};

struct ModelSlot {
    uint32_t generation = 1;
    bool used = false;
    bool aside = false;  // by reserve_value()
    bool busy = false;
    unsigned object = 0;
    abi::Rights rights = 0;
    Lease lease = 0;
};

struct Side {
    HandleTable table;
    ModelSlot model[slots];
    uint32_t reserved = 0;

    uint32_t used() const {
        uint32_t count = 0;
        for (const ModelSlot& slot : model) count += slot.used;
        return count;
    }
    uint32_t free() const {
        uint32_t count = slots - 1;
        for (const ModelSlot& slot : model) count -= slot.used || slot.aside;
        return count;
    }
    abi::Handle handle(uint32_t slot) const {
        return abi::make_handle(slot, model[slot].generation);
    }
    // The model's slot for a handle that names something; or null.
    ModelSlot* named(abi::Handle handle) {
        const uint32_t slot = abi::slot_of(handle);
        if (slot >= slots || !model[slot].used) return nullptr;
        return model[slot].generation == abi::generation_of(handle) ? &model[slot] : nullptr;
    }
    Error seen(abi::Handle handle) {
        const ModelSlot* slot = named(handle);
        if (slot == nullptr) return Error::bad_handle;
        if (!lease_valid(slot->lease)) return Error::revoked;
        return slot->busy ? Error::busy : Error::ok;
    }
    void take_out(ModelSlot& slot) {
        slot.used = slot.busy = false;
        slot.lease = 0;
        ++slot.generation;
    }
};

struct Moving {
    uint64_t words[abi::message_words] = {};
    unsigned mask = 0;
    unsigned from = 0;
};

class Model {
public:
    explicit Model(uint32_t seed) : random_(seed) {
        for (unsigned i = 0; i < 4; ++i) kinds_[i].type = types[i];
        for (unsigned i = 0; i < object_count; ++i) {
            objects_.push_back(std::make_unique<TestObject>(kinds_[i % 4]));
        }
        for (Side& side : sides_) {
            EXPECT_TRUE(HandleTable::create(side.table, world_.root(), slots).ok());
            while (!side.table.prepare_some()) {
            }
        }
    }
    ~Model() {
        for (Side& side : sides_) {
            uint32_t cursor = 0;
            while (!side.table.close_some(cursor, 1 + pick(5))) {
            }
            EXPECT_EQ(side.table.used(), 0u);
            side.table.destroy();
        }
        for (const auto& object : objects_) EXPECT_EQ(object->references.load(), 1u);
        for (uint32_t cell = 1; cell <= fake_leases; ++cell) {
            EXPECT_EQ(test::fake_lease_uses(cell), 0u);
        }
    }

    void step() {
        Side& side = sides_[pick(2)];
        switch (pick(14)) {
            case 0:
            case 1:
            case 2: insert(side); break;
            case 3: find(side); break;
            case 4:
            case 5: close(side); break;
            case 6: reserve(side); break;
            case 7: set_value_aside(side); break;
            case 8: mark_busy(); break;
            case 9: unmark_busy(); break;
            case 10: move(); break;
            case 11: move_to_values(); break;
            case 12: end_object(); break;
            case 13: revoke(); break;
        }
        for (Side& each : sides_) compare(each);
        compare_counts();
    }

private:
    uint32_t pick(uint32_t below) { return random_() % below; }
    // Mostly one that names something, or did.
    abi::Handle any_handle(Side& side) {
        const uint32_t slot = pick(slots + 1);
        if (slot == slots) return abi::make_handle(slots + pick(3), 1);
        if (pick(8) == 0) return side.handle(slot) - (uint64_t{1} << 32);
        return side.handle(slot);
    }

    void enter(Side& side, abi::Handle handle, const ModelSlot& what, bool into_aside) {
        const uint32_t slot = abi::slot_of(handle);
        ASSERT_TRUE(slot > 0 && slot < slots);
        ModelSlot& model = side.model[slot];
        ASSERT_FALSE(model.used);
        ASSERT_EQ(model.aside, into_aside);
        ASSERT_EQ(abi::generation_of(handle), model.generation);
        const uint32_t generation = model.generation;
        model = what;
        model.generation = generation;
        model.used = true;
        model.aside = model.busy = false;
    }

    void insert(Side& side) {
        ModelSlot what;
        what.object = pick(object_count);
        what.rights = static_cast<abi::Rights>(random_() & abi::all_rights);
        what.lease = pick(3) == 0 ? fake_lease(1 + pick(fake_leases)) : 0;
        const bool landing = pick(2) == 0;
        const bool fits = side.free() > (landing ? 0 : side.reserved);
        retain_lease(what.lease);
        const auto handle = side.table.insert(Ref<Object>::share(*objects_[what.object]),
                                              what.rights, what.lease, landing);
        ASSERT_EQ(handle.error(), fits ? Error::ok : Error::no_room);
        if (fits) return enter(side, *handle, what, false);
        release_lease(what.lease);
    }

    void find(Side& side) {
        const abi::Handle handle = any_handle(side);
        const abi::ObjectType type = pick(2) == 0 ? abi::ObjectType::any : types[pick(4)];
        const abi::Rights needed = pick(2) == 0 ? 0 : static_cast<abi::Rights>(1u << pick(24));
        Status expected(side.seen(handle));
        const ModelSlot* slot = side.named(handle);
        if (expected.ok()) {
            const abi::ObjectType is = types[slot->object % 4];
            const abi::Rights missing = needed & ~slot->rights;
            if (type != abi::ObjectType::any && type != is) {
                expected = Error::wrong_type;
            } else if (missing != 0) {
                expected =
                    Status(Error::no_right, static_cast<uint16_t>(std::countr_zero(missing)));
            }
        }
        const auto found = side.table.find(handle, type, needed);
        ASSERT_EQ(found.status(), expected);
        if (found.ok()) ASSERT_EQ(found->object, objects_[slot->object].get());
        RecentHandle recent;
        const bool plain = slot != nullptr && !slot->busy && slot->lease == 0;
        ASSERT_EQ(side.table.remember(handle, recent), plain);
        if (plain) ASSERT_EQ(recent.object, objects_[slot->object].get());
    }

    void close(Side& side) {
        const abi::Handle handle = any_handle(side);
        ModelSlot* slot = side.named(handle);
        Error expected = slot == nullptr ? Error::bad_handle : Error::ok;
        if (slot != nullptr && slot->busy) expected = Error::busy;
        ASSERT_EQ(side.table.close(handle).error(), expected);
        if (expected == Error::ok) side.take_out(*slot);
    }

    void reserve(Side& side) {
        const uint32_t count = 1 + pick(4);
        if (pick(2) == 0 && side.reserved >= count) {
            side.table.unreserve(count);
            side.reserved -= count;
            return;
        }
        const bool fits = side.free() >= side.reserved + count;
        ASSERT_EQ(side.table.reserve(count).ok(), fits);
        if (fits) side.reserved += count;
    }

    void set_value_aside(Side& side) {
        const uint32_t slot = pick(slots);
        if (side.model[slot].aside) {
            side.table.release_value(side.handle(slot));
            side.model[slot].aside = false;
            return;
        }
        const auto value = side.table.reserve_value();
        ASSERT_EQ(value.ok(), side.free() > side.reserved);
        if (!value.ok()) return;
        ModelSlot& model = side.model[abi::slot_of(*value)];
        ASSERT_FALSE(model.used || model.aside);
        ASSERT_EQ(abi::generation_of(*value), model.generation);
        model.aside = true;
    }

    void mark_busy() {
        Moving moving;
        moving.from = pick(2);
        Side& side = sides_[moving.from];
        for (unsigned i = 0; i < abi::message_words; ++i) {
            const bool wanted = std::popcount(moving.mask) < 4 && pick(2) == 0;
            moving.words[i] = any_handle(side);
            if (wanted) moving.mask |= 1u << i;
        }
        Status expected;
        unsigned marked = 0;
        for (unsigned i = 0; i < abi::message_words && expected.ok(); ++i) {
            if (!(moving.mask >> i & 1)) continue;
            for (unsigned j = 0; j < i; ++j) {
                if ((marked >> j & 1) && moving.words[j] == moving.words[i]) {
                    expected = Status(Error::bad_argument, static_cast<uint16_t>(i));
                }
            }
            if (expected.ok()) expected = Status(side.seen(moving.words[i]));
            marked |= 1u << i;
        }
        ASSERT_EQ(side.table.mark_busy(moving.words, moving.mask).status(), expected);
        if (!expected.ok() || moving.mask == 0) return;
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (moving.mask >> i & 1) side.named(moving.words[i])->busy = true;
        }
        moving_.push_back(moving);
    }

    Moving take_moving() {
        const uint32_t which = pick(static_cast<uint32_t>(moving_.size()));
        const Moving moving = moving_[which];
        moving_.erase(moving_.begin() + which);
        return moving;
    }

    void unmark_busy() {
        if (moving_.empty()) return;
        const Moving moving = take_moving();
        Side& side = sides_[moving.from];
        side.table.unmark_busy(moving.words, moving.mask);
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (!(moving.mask >> i & 1)) continue;
            if (ModelSlot* slot = side.named(moving.words[i])) slot->busy = false;
        }
    }

    // True: all the handles are still there, as they were marked.
    bool all_there(const Moving& moving) {
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (!(moving.mask >> i & 1)) continue;
            if (sides_[moving.from].named(moving.words[i]) == nullptr) return false;
        }
        return true;
    }

    void finish_move(const Moving& old, const uint64_t* words, Side& to, bool into_aside) {
        Side& from = sides_[old.from];
        ModelSlot moved[abi::message_words];
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (old.mask >> i & 1) moved[i] = *from.named(old.words[i]);
        }
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (!(old.mask >> i & 1)) {
                ASSERT_EQ(words[i], old.words[i]);
                continue;
            }
            enter(to, words[i], moved[i], into_aside);
        }
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (old.mask >> i & 1) from.take_out(*from.named(old.words[i]));
        }
    }

    void move() {
        if (moving_.empty()) return;
        const Moving old = take_moving();
        Side& to = sides_[pick(2)];
        Moving now = old;
        Error expected = Error::ok;
        if (!all_there(old)) {
            expected = Error::closed;
        } else if (to.free() < static_cast<uint32_t>(std::popcount(old.mask))) {
            expected = Error::no_room;
        }
        const auto done = HandleTable::move(sides_[old.from].table, to.table, now.words, old.mask);
        ASSERT_EQ(done.error(), expected);
        if (done.ok()) return finish_move(old, now.words, to, false);
        moving_.push_back(old);  // still busy
    }

    void move_to_values() {
        if (moving_.empty()) return;
        const Moving old = take_moving();
        Side& to = sides_[1 - old.from];
        abi::Handle values[abi::message_words];
        unsigned count = 0;
        for (uint32_t slot = 0; slot < slots && count < abi::message_words; ++slot) {
            if (to.model[slot].aside) values[count++] = to.handle(slot);
        }
        if (count < static_cast<unsigned>(std::popcount(old.mask))) {
            moving_.push_back(old);
            return;
        }
        Moving now = old;
        const Error expected = all_there(old) ? Error::ok : Error::closed;
        const auto done = HandleTable::move_to_values(sides_[old.from].table, to.table, now.words,
                                                      old.mask, values);
        ASSERT_EQ(done.error(), expected);
        if (!done.ok()) return moving_.push_back(old);
        unsigned next = 0;
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (old.mask >> i & 1) ASSERT_EQ(now.words[i], values[next++]);
        }
        finish_move(old, now.words, to, true);
    }

    // An object dies; its handles are taken away, busy or not.
    void end_object() {
        if (pick(4) != 0) return;
        const unsigned which = pick(object_count);
        objects_[which]->dead = true;
        for (Side& side : sides_) {
            uint32_t cursor = 0;
            while (!side.table.drop_dead(cursor, 1 + pick(6))) {
            }
            for (ModelSlot& slot : side.model) {
                if (slot.used && slot.object == which) side.take_out(slot);
            }
        }
        objects_[which]->dead = false;  // another one in its place
    }

    void revoke() {
        if (pick(4) == 0) test::revoke_fake_lease(1 + pick(fake_leases));
    }

    void compare(Side& side) {
        ASSERT_EQ(side.table.used(), side.used());
        for (uint32_t i = 0; i < slots; ++i) {
            const ModelSlot& slot = side.model[i];
            const abi::Handle handle = side.handle(i);
            Found found{};
            ASSERT_EQ(side.table.look_up(handle, found), Status(side.seen(handle))) << i;
            const Object& object = *objects_[slot.object];
            ASSERT_EQ(side.table.names(handle, object), slot.used) << i;
            if (side.seen(handle) != Error::ok) continue;
            ASSERT_EQ(found.object, &object);
            ASSERT_EQ(found.type, object.type());
            ASSERT_EQ(found.rights, slot.rights);
            ASSERT_EQ(found.lease, slot.lease);
        }
        // A list of the table shows what can be used, each once and in order.
        uint32_t cursor = 0;
        uint32_t expected = 0;
        abi::Handle handle;
        Found found{};
        while (side.table.next_used(cursor, handle, found)) {
            while (expected < slots && side.seen(side.handle(expected)) != Error::ok) ++expected;
            ASSERT_LT(expected, slots);
            ASSERT_EQ(handle, side.handle(expected++));
        }
        while (expected < slots) ASSERT_NE(side.seen(side.handle(expected++)), Error::ok);
    }

    void compare_counts() {
        uint32_t references[object_count] = {};
        uint32_t uses[fake_leases + 1] = {};
        for (const Side& side : sides_) {
            for (const ModelSlot& slot : side.model) {
                if (!slot.used) continue;
                ++references[slot.object];
                if (lease_valid(slot.lease)) ++uses[static_cast<uint32_t>(slot.lease)];
            }
        }
        for (unsigned i = 0; i < object_count; ++i) {
            ASSERT_EQ(objects_[i]->references.load(), 1 + references[i]) << i;
        }
        for (uint32_t cell = 1; cell <= fake_leases; ++cell) {
            ASSERT_EQ(test::fake_lease_uses(cell), uses[cell]) << cell;
        }
    }

    HandleWorld world_;
    std::mt19937 random_;
    ObjectKind kinds_[4] = {};
    std::vector<std::unique_ptr<TestObject>> objects_;
    Side sides_[2];
    std::vector<Moving> moving_;
};

TEST(HandleTableModel, DoesWhatAPlainTableDoes) {
    for (uint32_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Model model(seed);
        for (unsigned i = 0; i < 2500; ++i) {
            ASSERT_NO_FATAL_FAILURE(model.step()) << "step " << i;
        }
    }
}

}  // namespace
}  // namespace annulus::kernel
