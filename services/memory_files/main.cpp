// SPDX-License-Identifier: MIT
// An in-memory file system (abi/file.h): publishes its root directory as `files`, or under the name
// that the argument name=<name> gives.
//
// It holds as much as its budget has room for. What one client may use of that is half, or what
// the argument client_percent=<1..100> says.
#include "runtime/file_server.h"
#include "runtime/program.h"
#include "services/memory_files/tree.h"

#include <algorithm>
#include <new>

namespace annulus::memory_files {
namespace {

constexpr unsigned server_slots = 16;
constexpr size_t block_bytes = 16 * 1024;

// An opened file or directory.
class OpenedNode final : public ServedFile {
public:
    // Holds the node: it was opened for this object.
    OpenedNode(const Server& server, Tree& tree, Node& node)
        : ServedFile(server), tree_(tree), node_(node) {}
    ~OpenedNode() override { tree_.release(node_); }

private:
    Result<FileState> state() override {
        return FileState{node_.kind(), node_.size(), 0, node_.id()};
    }
    Result<std::unique_ptr<ServedFile>> open(std::string_view path, uint64_t flags,
                                             Client client) override;

    Result<size_t> read(uint64_t offset, std::span<std::byte> space) override {
        return tree_.read(node_, offset, space);
    }
    Result<size_t> write(uint64_t offset, std::span<const std::byte> bytes,
                         Client client) override {
        return tree_.write(node_, offset, bytes, client);
    }
    Result<void> resize(uint64_t size, Client) override { return tree_.resize(node_, size); }

    Result<uint64_t> list(uint64_t cursor, RecordWriter& records) override {
        return tree_.list(node_, cursor, records);
    }
    Result<void> create_directory(std::string_view path, Client client) override {
        return tree_.create_directory(node_, path, client);
    }
    Result<void> remove(std::string_view path) override { return tree_.remove(node_, path); }
    Result<void> rename(std::string_view from, std::string_view to, bool replace) override {
        return tree_.rename(node_, from, to, replace);
    }

    Tree& tree_;
    Node& node_;
};

Result<std::unique_ptr<ServedFile>> serve_node(const Server& server, Tree& tree, Node& node) {
    std::unique_ptr<ServedFile> object(new (std::nothrow) OpenedNode(server, tree, node));
    if (object != nullptr) return object;
    tree.release(node);
    return Status(Error::no_budget, static_cast<uint16_t>(abi::Resource::pages));
}

Result<std::unique_ptr<ServedFile>> OpenedNode::open(std::string_view path, uint64_t flags,
                                                     Client client) {
    Node* node = TRY(tree_.open(node_, path, flags, client));
    return serve_node(server(), tree_, *node);
}

// What the budget has room for. The heap takes a quarter more than a page for each, and a node with
// its name, its place in the table of names and its opened objects about a tenth of one.
Result<Limits> limits_of(BudgetReference budget, uint64_t percent) {
    const abi::BudgetLedger ledger = TRY(budget.get_ledger());
    constexpr auto pages = static_cast<unsigned>(abi::Resource::pages);
    const uint64_t free = ledger.limit[pages] - ledger.used[pages] - ledger.lent[pages];
    const Amount all = {free * 6 / 10, free / 2};
    const auto share = [&](uint64_t amount) {
        return std::max<uint64_t>(amount * percent / 100, 1);
    };
    return Limits{all, {share(all.pages), share(all.nodes)}};
}

Result<uint64_t> percent_of(const Environment& environment) {
    const auto text = environment.argument("client_percent");
    if (!text.ok()) return uint64_t{50};
    uint64_t percent = 0;
    for (const char c : *text) {
        if (c < '0' || c > '9' || percent > 100) return Error::bad_argument;
        percent = percent * 10 + static_cast<uint64_t>(c - '0');
    }
    if (percent < 1 || percent > 100) return Error::bad_argument;
    return percent;
}

Result<void> run(const Environment& environment) {
    const auto budget = TRY(environment.handle<Budget>(names::budget));
    const auto exports = TRY(environment.handle<Directory>(names::exports));
    const auto name = environment.argument("name");
    Server server = TRY(Server::create(server_slots, block_bytes));
    const auto tree = TRY(Tree::create(TRY(limits_of(budget, TRY(percent_of(environment))))));
    // The root is held like every opened object.
    Node* root = TRY(tree->open(tree->root(), "", 0, 0));
    auto object = TRY(serve_node(server, *tree, *root));
    constexpr abi::Rights rights = abi::open_rights(abi::open_read | abi::open_write);
    TRY(exports.publish(name.ok() ? *name : "files",
                        TRY(serve_file(server, std::move(object), rights))));
    return server.run();
}

}  // namespace
}  // namespace annulus::memory_files

annulus::Result<void> annulus::program_main(Environment& environment) {
    return memory_files::run(environment);
}
