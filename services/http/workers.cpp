// SPDX-License-Identifier: MIT
// Threads that each serve one connection at a time.
#include "services/http/workers.h"

#include <optional>

#include "runtime/clock.h"
#include "runtime/semaphore.h"
#include "services/http/folder_site.h"
#include "services/http/session/session.h"

namespace annulus::http {
namespace {

constexpr uint64_t idle_time_free = 15'000'000'000;
constexpr uint64_t idle_time_crowded = 1'000'000'000;
constexpr Duration channel_time = seconds(10);
// Bodies from this size on go through a channel; see README.md for the figures.
constexpr uint64_t channel_from = 128 * 1024;
constexpr uint8_t channel_log2 = 16;
constexpr size_t leftover_max = 64 * 1024;  // bytes that a client may still send after the end

class ConnectionPeer final : public Peer {
public:
    ConnectionPeer(Connection connection, const Workers& workers)
        : connection_(connection), workers_(workers) {}

    Result<size_t> read(std::span<std::byte> space, uint64_t deadline) override {
        return stream().read(space, {deadline});
    }
    Result<void> write(std::span<const std::byte> bytes, uint64_t deadline) override {
        return stream().write(bytes, {deadline});
    }
    bool takes_in_place(uint64_t bytes) override {
        if (bytes < channel_from) return false;
        if (channel_.has_value()) return true;
        // Without a channel everything goes on by calls.
        auto channel =
            ConnectionChannel::attach(connection_, Deadline::after(channel_time), channel_log2);
        if (channel.ok()) channel_.emplace(std::move(channel).value());
        return channel_.has_value();
    }
    Result<std::span<std::byte>> place(uint64_t deadline) override {
        auto& writer = channel_->writer();
        UntrustedBytes room = writer.reserve();
        while (room.empty()) {
            TRY(channel_->wait_writable({deadline}));
            room = writer.reserve();
        }
        // Safety: the run stays mapped as long as the channel, and nobody reads through the span.
        return std::span(reinterpret_cast<std::byte*>(room.address()), room.size());
    }
    void put(size_t bytes) override {
        channel_->writer().commit(static_cast<uint32_t>(bytes));
        channel_->writer().publish();
    }

    // Closing while the client's bytes are unread would reset the connection, and the response that
    // is on its way would be lost.
    void finish(uint64_t deadline) override {
        if (channel_.has_value()) {
            channel_->finish();
        } else if (!connection_.shut_down(abi::shutdown_send, {deadline}).ok()) {
            return;
        }
        std::byte dropped[1024];
        for (size_t count = 0; count < leftover_max;) {
            const size_t bytes = read(dropped, deadline).value_or(0);
            if (bytes == 0) return;
            count += bytes;
        }
    }

    uint64_t now() override { return annulus::now(); }
    uint64_t idle_time() override {
        return workers_.mostly_taken() ? idle_time_crowded : idle_time_free;
    }

private:
    Stream stream() {
        return channel_.has_value() ? Stream(*channel_, connection_) : Stream(connection_);
    }

    Connection connection_;
    std::optional<ConnectionChannel> channel_;
    const Workers& workers_;
};

// After these another accept may succeed.
bool is_passing(Error error) {
    return error == Error::limit || error == Error::no_memory || error == Error::no_budget ||
           error == Error::no_room || error == Error::timed_out;
}

}  // namespace

Result<void> Workers::serve(Connection connection) {
    ConnectionPeer peer(connection, *this);
    FolderSite site(files_, recent_);
    Session session(peer, site);
    // Without it the last part of a response would wait for an acknowledgement.
    static_cast<void>(connection.set_option(abi::ConnectionOption::no_delay, 1));
    session.run();
    // Order: relaxed, as the readers'.
    served_.fetch_add(session.served(), std::memory_order_relaxed);
    return site.end();
}

Result<void> Workers::work() {
    for (;;) {
        const auto connection = listener_.accept();
        if (!connection.ok()) {
            if (!is_passing(connection.error())) return connection.status();
            static_cast<void>(wait_for(pause_, Deadline::after(milliseconds(50))));
            continue;
        }
        // Order: relaxed, as the readers'.
        taken_.fetch_add(1, std::memory_order_relaxed);
        const auto served = serve(*connection);
        taken_.fetch_sub(1, std::memory_order_relaxed);
        TRY(served);
    }
}

}  // namespace annulus::http
