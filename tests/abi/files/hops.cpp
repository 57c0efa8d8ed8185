// SPDX-License-Identifier: MIT
// Paths that lead through several servers, and servers that lie about them.

#include "runtime/server.h"
#include "runtime/thread.h"
#include "tests/abi/files/scene.h"

namespace annulus::test::cases {
namespace {

// A directory of which every name leads to another object; it consumes what it is told.
class Crossing final : public ServedByThis {
public:
    Crossing(Server& server, ObjectReference target) : server_(server), target_(target) {}

    Answer handle(Request& request) override {
        if (request.is(abi::Verb::shutdown, 0)) {
            server_.stop();
            return {};
        }
        if (!request.is(abi::Verb::open, abi::directory_open)) return Error::bad_operation;
        ++opens;
        auto moved = request.take_handle<Object>(1);
        auto copy = target_.empty() ? ObjectReference(own).get_duplicate(abi::all_rights, 0)
                                    : target_.get_duplicate(abi::all_rights, 0);
        if (!copy.ok()) return copy.status();
        Answer answer = Answer::with_words(0, consumes.load());
        answer.give(0, std::move(copy->handle));
        if (!moved.empty()) answer.give(2, std::move(moved));
        return answer;
    }

    std::atomic<uint64_t> consumes = 0;
    std::atomic<unsigned> opens = 0;
    abi::Handle own = abi::no_handle;  // where it leads without a target

private:
    Server& server_;
    ObjectReference target_;
};

void stop(ServedReference object) {
    static_cast<void>(
        system::call_words(object.value(), abi::operation_word(abi::Verb::shutdown, 0)));
}

}  // namespace
}  // namespace annulus::test::cases

TEST(hops, "a path goes on at the object that another server answers") {
    const auto folder = MUST(new_folder(test, "hops"));
    EXPECT_OK(MUST(folder.open<File>("note", open_to_write)).write("there"));
    auto server = MUST(Server::create(2, 256));
    Crossing crossing(server, folder);
    const auto object = MUST(server.make_object(crossing));
    auto thread = MUST(start_thread([&] { static_cast<void>(server.run()); }));
    crossing.consumes = 3;  // "mnt", and not the separator
    const Directory from(object.value());
    EXPECT(holds(MUST(from.open<File>("mnt/note", abi::open_read)), "there"));
    crossing.consumes = 4;  // with it
    EXPECT(holds(MUST(from.open<File>("mnt/note", abi::open_read)), "there"));
    EXPECT_ERROR(from.open<File>("mnt/none", abi::open_read), Error::not_found);
    crossing.consumes = 9;
    EXPECT_ERROR(from.open<File>("mnt/note", abi::open_read), Error::faulted);
    // A handle that moves with the request comes back at the crossing, and from the files, which
    // refuse it.
    crossing.consumes = 3;
    const Semaphore end = MUST(test.budget().create_semaphore(0, 5, MemoryReference(), 0));
    auto copy = MUST(end.get_duplicate(abi::all_rights, 0));
    const abi::Handle sent = copy.handle.value();
    Object moved = std::move(copy.handle);
    EXPECT_ERROR(annulus::open(from, "mnt/note", abi::open_read, Deadline::never(), moved),
                 Error::wrong_type);
    EXPECT(moved.value() != sent);
    EXPECT_EQ(MUST(SemaphoreReference(moved.value()).get_state()).value, 5u);
    stop(object);
    EXPECT_OK(thread.join());
}

TEST(hops_limit, "sixteen objects on the way, and no more") {
    auto server = MUST(Server::create(2, 256));
    Crossing crossing(server, ObjectReference());
    const auto object = MUST(server.make_object(crossing));
    crossing.own = object.value();
    auto thread = MUST(start_thread([&] { static_cast<void>(server.run()); }));
    const Directory from(object.value());
    crossing.consumes = 1;
    EXPECT_OK(from.open<Directory>("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o", 0));
    EXPECT_EQ(crossing.opens.load(), 15u);
    EXPECT_OK(from.open<Directory>("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p", 0));
    // open_hops_max; the next would be open_hops_max + 1.
    EXPECT_ERROR(from.open<Directory>("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", 0), Error::too_deep);
    crossing.consumes = 0;
    crossing.opens = 0;
    EXPECT_ERROR(from.open<Directory>("a", 0), Error::too_deep);
    EXPECT_EQ(crossing.opens.load(), 16u);
    stop(object);
    EXPECT_OK(thread.join());
}

TEST(client_key, "a table tells who pays for its objects, and nothing about another table's") {
    auto server = MUST(Server::create(2, 256));
    Crossing crossing(server, ObjectReference());
    auto first = MUST(server.make_object(crossing));
    auto second = MUST(server.make_object(crossing));
    const uint64_t key = MUST(server.client_of(first));
    EXPECT_EQ(MUST(server.client_of(second)), key);
    // The table has no record of the client left; it is the same client nevertheless.
    first.close();
    second.close();
    first = MUST(server.make_object(crossing));
    EXPECT_EQ(MUST(server.client_of(first)), key);
    EXPECT_ERROR(server.client_of(files(test)), Error::not_found);
    const auto bare = MUST(server.table().get_duplicate(0, 0));
    EXPECT_ERROR(TableReference(bare.handle.value()).get_client(first), Error::no_right);
}
