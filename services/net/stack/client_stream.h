// SPDX-License-Identifier: MIT
// The bytes of a connection in memory that is shared with its client. Policy-free: who made the
// memory, the bells and the end are the service's or a test's.
#pragma once

#include "channel/byte_stream.h"
#include "services/net/stack/accounts.h"

namespace annulus::net {

// Whom a stream serves.
class StreamUser {
public:
    // The client has rung: something is there, or there is room, or it is gone.
    virtual void client_rang() = 0;

protected:
    ~StreamUser() = default;
};

class ClientStream {
public:
    // Rings the client.
    struct Bell {
        ClientStream* stream;
        void ring() const { stream->ring(); }
    };
    using Pair = channel::BytePair<Bell>;
    using Reader = channel::ByteReader<Bell>;
    using Writer = channel::ByteWriter<Bell>;

    enum class Client : uint8_t { there, gone, broken };

    ClientStream(const ClientStream&) = delete;
    ClientStream& operator=(const ClientStream&) = delete;
    virtual ~ClientStream() = default;

    [[nodiscard]] Reader& from_client() { return pair_.reader; }
    [[nodiscard]] Writer& to_client() { return pair_.writer; }
    [[nodiscard]] channel::Fault fault() const { return pair_.fault(); }

    // Whether the client has let go of its end, or shut the channel down.
    virtual Client client() = 0;

    // Ends the channel for both sides; only the first reason counts.
    virtual void shut_down(uint32_t reason) = 0;

    // From now on `user` is told when the client rings; null: nobody is.
    void set_user(StreamUser* user) { user_ = user; }

    // Whom it counts for from now on.
    void set_place(Place place) { place_ = std::move(place); }

protected:
    // `memory` holds `geometry`, which was checked.
    ClientStream(UntrustedBytes memory, channel::Geometry geometry, channel::Side side)
        : pair_(Pair::attach(memory, geometry, side, Bell{this}).value()) {}

    virtual void ring() = 0;

    void client_rang() const {
        if (user_ != nullptr) user_->client_rang();
    }

private:
    Pair pair_;
    StreamUser* user_ = nullptr;
    Place place_;
};

}  // namespace annulus::net
