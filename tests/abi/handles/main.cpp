// SPDX-License-Identifier: MIT
// Every operation of abi/operations.h, refused in every way that its description promises.
//
// Each case walks the table of operations, so that one added there is checked from then on. The
// specimens are read before and after: a refused operation has changed nothing.

#include "tests/abi/handles/checks.h"
#include "tests/guest/ledger.h"

#include <bit>

const char* const annulus::test::suite = "handles";

namespace annulus::test::cases {

namespace {

// Runs `body(operation on a specimen)` for every operation, operations of `any` on every type.
template <typename Body>
void for_each_operation(Context& test, const Specimens& specimens, Body body) {
    settled_ledger(test.budget());  // nothing is left over from the case before
    const uint64_t before = specimens.digest();
    for (const abi::Operation& operation : abi::operations) {
        Attempt attempt(specimens, operation);
        if (operation.object != abi::ObjectType::any) {
            body(attempt);
        } else {
            for (const abi::ObjectType type : specimen_types) {
                attempt.message.handle = specimens.of(type);
                body(attempt);
            }
        }
        if (specimens.digest() != before) {
            test.fail("{}.{} changed something", abi::name_of(operation.object), operation.name);
        }
        if (test.failed()) return;
    }
}

template <typename Body>
void for_each_handle_operand(const Attempt& attempt, Body body) {
    for (unsigned i = 0; i < abi::message_words; ++i) {
        const abi::Operand& operand = attempt.operation().in[i];
        if (operand.kind == abi::OperandKind::handle) body(i, operand);
    }
}

// A served object has all below the universal ones: its server answers them.
bool has_operation(abi::ObjectType type, abi::Verb verb, uint16_t selector) {
    for (const abi::Operation& operation : abi::operations) {
        if (operation.verb != verb || operation.selector != selector) continue;
        if (operation.object == type || operation.object == abi::ObjectType::any) return true;
    }
    return type == abi::ObjectType::served && selector < abi::selector_universal;
}

// An operand's error says which word it is, counted from 1.
abi::Status of_operand(abi::Error error, unsigned word, uint16_t detail = 0) {
    return abi::Status(error, detail, word + 1);
}

}  // namespace

}  // namespace annulus::test::cases

TEST(missing_right,
     "an operation without its verb's right answers no_right, whatever else is held") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        const abi::Operation& operation = attempt.operation();
        if (!operation.needs_right) return;  // see no_right_needed
        note_tried(Way::without_right, operation);
        const auto verb = static_cast<uint16_t>(operation.verb);
        const abi::Handle full = attempt.message.handle;
        for (unsigned bit = 0; bit <= 24; ++bit) {
            // One right alone, or (24) all but the one that counts.
            const abi::Rights rights = bit < 24 ? abi::Rights{1} << bit : abi::all_rights;
            const Object lesser = duplicate(full, rights & ~abi::right_of(operation.verb));
            attempt.message.handle = lesser.value();
            checks.refused(attempt, abi::Status(Error::no_right, verb), "rights", rights);
        }
    });
}

TEST(right_alone, "the verb's right alone is enough for every operation, and none where none is") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        const abi::Operation& operation = attempt.operation();
        note_tried(Way::with_right, operation);
        const Object lesser =
            duplicate(attempt.message.handle,
                      operation.needs_right ? abi::right_of(operation.verb) : abi::Rights{0});
        attempt.message.handle = lesser.value();
        // A message that is wrong in what is looked at after the rights.
        attempt.set_moved_mask(~attempt.moved_mask() & 0x3f);
        checks.refused(attempt, abi::Status(Error::bad_argument, detail_mask), "rights");
    });
}

TEST(missing_operand_right, "an operand without a right it needs answers no_right and its word") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        for_each_handle_operand(attempt, [&](unsigned word, const abi::Operand& operand) {
            const abi::Handle full = attempt.message.words[word];
            for (unsigned bit = 0; bit <= 24; ++bit) {
                const abi::Rights rights =
                    bit < 24 ? abi::all_rights & ~(abi::Rights{1} << bit) : abi::Rights{0};
                const abi::Rights missing = operand.needs & ~rights;
                if (missing == 0) continue;
                const Object lesser = duplicate(full, rights);
                attempt.message.words[word] = lesser.value();
                const auto lowest = static_cast<uint16_t>(std::countr_zero(missing));
                checks.refused(attempt, of_operand(Error::no_right, word, lowest), "operand rights",
                               rights);
            }
            attempt.message.words[word] = full;
        });
    });
}

TEST(mapping_rights, "mapping needs the rights to read, write or execute that it asks for") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    const uint64_t before = specimens.digest();
    struct Need {
        uint64_t flags;
        abi::Rights right;
    };
    constexpr Need needs[] = {{abi::map_read, abi::right_of(abi::Verb::read)},
                              {abi::map_read | abi::map_write, abi::right_of(abi::Verb::write)},
                              {abi::map_read | abi::map_execute, abi::right_execute}};
    const abi::Operation& map = *[] {
        for (const abi::Operation& operation : abi::operations) {
            if (operation.object == abi::ObjectType::process && operation.verb == abi::Verb::map &&
                operation.selector == 0) {
                return &operation;
            }
        }
        __builtin_unreachable();
    }();
    for (const Need& need : needs) {
        Attempt attempt(specimens, map);
        const Object lesser = duplicate(attempt.message.words[0], abi::all_rights & ~need.right);
        attempt.message.words[0] = lesser.value();
        attempt.message.words[4] = need.flags;
        const auto bit = static_cast<uint16_t>(std::countr_zero(need.right));
        checks.refused(attempt, of_operand(Error::no_right, 0, bit), "flags", need.flags);
    }
    EXPECT_EQ(specimens.digest(), before);
}

TEST(no_right_needed, "what every object answers needs no right") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for (const abi::ObjectType type : specimen_types) {
        const Object bare = duplicate(specimens.of(type), 0);
        const char* name = abi::name_of(type);
        const auto info = bare.get_info();
        checks.holds(info.ok() && info->type == static_cast<uint64_t>(type) && info->rights == 0,
                     name, "get.info", "says type and rights");
        checks.holds(bare.get_duplicate(abi::all_rights, 0).ok(), name, "get.duplicate",
                     "needs no right");
        checks.holds(bare.close_revoke(12345).error() == Error::not_found, name, "close.revoke",
                     "needs no right");
        Object copy = duplicate(specimens.of(type), 0);
        constexpr uint64_t close = abi::operation_word(abi::Verb::close, 0xff00);
        checks.holds(system::call_words(copy.value(), close).status.ok(), name, "close.close",
                     "needs no right");
        static_cast<void>(copy.release());
    }
    for (const abi::Operation& operation : abi::operations) {
        if (operation.needs_right) continue;
        EXPECT(operation.object == abi::ObjectType::any);
        note_tried(Way::without_right, operation);
    }
}

TEST(bad_handles, "closed, stale, unknown and impossible handles answer bad_handle") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        note_tried(Way::stale, attempt.operation());
        Stale stale[stale_count];
        make_stale(attempt.message.handle, stale);
        for (const Stale& one : stale) {
            attempt.message.handle = one.value;
            checks.refused(attempt, Error::bad_handle, one.what, one.value);
        }
    });
}

TEST(bad_operands, "bad operand handles answer bad_handle and the word") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        for_each_handle_operand(attempt, [&](unsigned word, const abi::Operand& operand) {
            const abi::Handle good = attempt.message.words[word];
            const bool optional = std::string_view(operand.text).contains("or 0");
            Stale stale[stale_count];
            make_stale(good, stale);
            for (const Stale& one : stale) {
                if (one.value == abi::no_handle && optional) continue;
                attempt.message.words[word] = one.value;
                checks.refused(attempt, of_operand(Error::bad_handle, word), one.what, one.value);
            }
            attempt.message.words[word] = good;
        });
    });
}

TEST(wrong_type, "an operand of another type answers wrong_type and the word") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        for_each_handle_operand(attempt, [&](unsigned word, const abi::Operand& operand) {
            const abi::Handle good = attempt.message.words[word];
            for (const abi::ObjectType type : specimen_types) {
                if (type == operand.type) continue;
                // Types that an operand of several types takes.
                const bool several = operand.type == abi::ObjectType::any;
                if (several &&
                    (type == abi::ObjectType::semaphore || type == abi::ObjectType::channel)) {
                    continue;
                }
                attempt.message.words[word] = specimens.of(type);
                checks.refused(attempt, of_operand(Error::wrong_type, word), abi::name_of(type));
            }
            attempt.message.words[word] = good;
        });
    });
}

TEST(revoked, "handles and operands whose lease ended answer revoked") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        const bool closes = attempt.operation().object == abi::ObjectType::any &&
                            attempt.operation().verb == abi::Verb::close &&
                            attempt.operation().selector == abi::selector_universal;
        const abi::Handle target = attempt.message.handle;
        Object ended = revoked_duplicate(target);
        attempt.message.handle = ended.value();
        note_tried(Way::revoked, attempt.operation());
        if (!closes) checks.refused(attempt, Error::revoked, "handle");
        if (closes) {
            const bool closed = system::call(attempt.message).status.ok();
            checks.holds(closed, "any", "close", "a revoked handle is closed by its holder");
            if (closed) static_cast<void>(ended.release());
        }
        attempt.message.handle = target;
        for_each_handle_operand(attempt, [&](unsigned word, const abi::Operand&) {
            const abi::Handle good = attempt.message.words[word];
            const Object operand = revoked_duplicate(good);
            attempt.message.words[word] = operand.value();
            checks.refused(attempt, of_operand(Error::revoked, word), "operand");
            attempt.message.words[word] = good;
        });
    });
}

TEST(absent_words, "words that an operation does not have must be zero") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if (attempt.operation().in[i].kind != abi::OperandKind::absent) continue;
            for (const uint64_t value : {uint64_t{1}, uint64_t{1} << 32, uint64_t{1} << 63}) {
                attempt.message.words[i] = value;
                checks.refused(attempt, abi::Status(Error::bad_argument, static_cast<uint16_t>(i)),
                               "word", value);
            }
            attempt.message.words[i] = 0;
        }
    });
}

TEST(moved_masks, "the mask of moved handles must be the operation's") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        for (unsigned mask = 0; mask < 1u << abi::message_words; ++mask) {
            if (mask == attempt.moved_mask()) continue;
            attempt.set_moved_mask(mask);
            checks.refused(attempt, abi::Status(Error::bad_argument, detail_mask), "mask", mask);
        }
    });
}

TEST(takes_handles, "an operation that answers handles refuses a call that takes none") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        if (!attempt.operation().answers_handles()) return;
        attempt.message.operation &= ~abi::call_takes_handles;
        checks.refused(attempt, abi::Status(Error::bad_argument, detail_mask), "no permission");
    });
    // Whoever would take handles need not get any.
    constexpr uint64_t info = abi::operation_word(abi::Verb::get, 0xff00) | abi::call_takes_handles;
    for (const abi::ObjectType type : specimen_types) {
        const auto answer = system::call_words(specimens.of(type), info);
        EXPECT_OK(answer.status);
        EXPECT_EQ(answer.words[0], static_cast<uint64_t>(type));
        EXPECT_EQ(answer.handle_mask, 0);
    }
}

TEST(bytes_in, "an operation that takes no bytes refuses them") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        if (attempt.operation().transfer == abi::Transfer::bytes_in) return;
        for (const uint32_t size : {1u, 4096u, ~0u}) {
            attempt.message.buffer.bytes_in = size;
            checks.refused(attempt, abi::Status(Error::bad_argument, detail_bytes_in), "bytes",
                           size);
        }
    });
}

TEST(unknown_flags, "each flag that an operation does not know answers not_supported") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        for (unsigned i = 0; i < abi::message_words; ++i) {
            const abi::Operand& operand = attempt.operation().in[i];
            if (operand.kind != abi::OperandKind::flags) continue;
            const std::string_view text = operand.text;
            const uint64_t known = text.contains("8:") ? 15 : text.contains("4:") ? 7 : 1;
            const uint64_t good = attempt.message.words[i];
            for (unsigned bit = 0; bit < 64; ++bit) {
                if (known >> bit & 1) continue;
                attempt.message.words[i] = good | uint64_t{1} << bit;
                checks.refused(attempt, abi::Status(Error::not_supported, static_cast<uint16_t>(i)),
                               "flag", bit);
            }
            attempt.message.words[i] = good;
        }
    });
}

TEST(reserved_bits, "reserved bits of the operation word answer not_supported") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        const uint64_t good = attempt.message.operation;
        for (unsigned bit = 0; bit < 64; ++bit) {
            if (!(abi::operation_word_reserved >> bit & 1)) continue;
            attempt.message.operation = good | uint64_t{1} << bit;
            checks.refused(attempt, Error::not_supported, "bit", bit);
        }
        for (const uint64_t base : {good, uint64_t{0}}) {
            attempt.message.operation = base | abi::operation_word_reserved;
            checks.refused(attempt, Error::not_supported, "all bits");
            attempt.message.operation = base | 0xfff0;
            checks.refused(attempt, Error::not_supported, "the low bits");
        }
    });
}

TEST(unknown_operations, "verbs and selectors that an object does not have answer bad_operation") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    settled_ledger(test.budget());
    const uint64_t before = specimens.digest();
    // Those above 255 in the last line agree with smaller ones in what a short index is made of.
    constexpr uint16_t selectors[] = {0,      1,      2,      3,      4,      5,      6,
                                      7,      8,      9,      63,     255,    256,    0x7fff,
                                      0x8000, 0xfeff, 0xff00, 0xff01, 0xff02, 0xff03, 0xffff,
                                      14,     15,     0x1001, 0xe00e, 0xf000, 0xf001, 0xf00f};
    for (const abi::ObjectType type : specimen_types) {
        const Object bare = duplicate(specimens.of(type), 0);
        for (unsigned verb = 0; verb < abi::verb_count; ++verb) {
            for (const uint16_t selector : selectors) {
                if (has_operation(type, static_cast<abi::Verb>(verb), selector)) continue;
                system::Message message;
                message.operation = abi::operation_word(static_cast<abi::Verb>(verb), selector);
                // Before rights are looked at: a holder of few learns that there is nothing to get.
                for (const abi::Handle handle : {specimens.of(type), bare.value()}) {
                    message.handle = handle;
                    checks.refused(message, Error::bad_operation, abi::name_of(type),
                                   abi::verb_names[verb], "selector", selector);
                }
            }
        }
    }
    EXPECT_EQ(specimens.timer().set_cancel().value_or(0), 1u);
    EXPECT_OK(specimens.timer().set_arm(uint64_t{1} << 62, 0));
    EXPECT_EQ(specimens.digest(), before);
}

TEST(wrong_object, "an operation on an object of a type that does not have it is bad_operation") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    Checks checks(test);
    for_each_operation(test, specimens, [&](Attempt& attempt) {
        const abi::Operation& operation = attempt.operation();
        if (operation.object == abi::ObjectType::any) return;  // every type has it
        note_tried(Way::wrong_type, operation);
        for (const abi::ObjectType type : specimen_types) {
            if (has_operation(type, operation.verb, operation.selector)) continue;
            attempt.message.handle = specimens.of(type);
            checks.refused(attempt, Error::bad_operation, abi::name_of(type));
        }
    });
}

TEST(timer_untouched, "none of the refusals stopped a timer") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    const Specimens& specimens = *made;
    EXPECT_EQ(MUST(specimens.timer().set_cancel()), 1u);
    EXPECT_EQ(MUST(specimens.timer().set_cancel()), 0u);
}

// The last that uses the specimens: it changes and ends them.
TEST(performed, "performed with its right alone, no operation asks for another right") {
    const Specimens* made = Specimens::get(test);
    if (made == nullptr) return;
    Checks checks(test);
    unsigned succeeded = 0;
    for (const abi::Operation& operation : abi::operations) {
        // These would end the test, or silence or garble what it says.
        if (operation.object == abi::ObjectType::power) continue;
        if (operation.object == abi::ObjectType::console) continue;
        Attempt attempt(*made, operation);
        const bool any = operation.object == abi::ObjectType::any;
        const abi::Handle full =
            any ? made->of(abi::ObjectType::semaphore) : attempt.message.handle;
        for (unsigned i = 0; i < abi::message_words; ++i) {
            if ((attempt.moved_mask() >> i & 1) == 0) continue;
            attempt.message.words[i] = duplicate(attempt.message.words[i], 0).release();
        }
        abi::Rights rights = operation.needs_right ? right_of(operation.verb) : 0;
        // A clone can be read with all rights, so its original must be readable.
        const bool clones = std::string_view(operation.name) == "clone";
        if (clones) rights |= right_of(abi::Verb::read);
        Object lesser = duplicate(full, rights);
        attempt.message.handle = lesser.value();
        const Status status = system::call(attempt.message).status;
        checks.holds(status.code() != Error::no_right && status.code() != Error::bad_handle,
                     abi::name_of(operation.object), operation.name, "the right is not enough");
        if (status.ok()) ++succeeded;
        if (status.ok() && any && operation.verb == abi::Verb::close) {
            static_cast<void>(lesser.release());
        }
    }
    report_count("operations that succeeded with the right alone", succeeded);
    EXPECT(succeeded >= 45);
}

TEST(count, "the cases above tried every operation in all five ways, with at least 5000 checks") {
    report_count("checks", Checks::total());
    EXPECT(Checks::total() >= 5000);
    report_count("operations", abi::operation_count);
    for (unsigned i = 0; i < way_count; ++i) {
        const auto way = static_cast<Way>(i);
        report_count(way_names[i], tried_count(way));
        for (unsigned index = 0; index < abi::operation_count; ++index) {
            if (was_tried(way, index)) continue;
            const abi::Operation& operation = abi::operations[index];
            const bool has_all_types = operation.object == abi::ObjectType::any;
            if (way == Way::wrong_type && has_all_types) continue;
            test.fail("{}.{} was not tried: {}", abi::name_of(operation.object), operation.name,
                      way_names[i]);
        }
    }
}
