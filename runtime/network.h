// SPDX-License-Identifier: MIT
// Sockets behind handles, by synchronous calls. They are opened by path, as files are:
//
//   const auto listener = TRY(network.open<Listener>("tcp/listen/80", abi::open_read));
//   const auto connection = TRY(listener.accept());
//   TRY(connection.write("hello\n"));
#pragma once

#include "abi/net.h"
#include "runtime/directory.h"
#include "runtime/stream.h"

namespace annulus {

// Names a served object that knows a connection's part of abi/net.h. Does not own the handle.
class Connection : public Stream {
public:
    using Reference = Connection;
    using Stream::Stream;

    // `sides`: abi::shutdown_send, abi::shutdown_receive, or both.
    Result<void> shut_down(uint64_t sides, Deadline deadline = Deadline::never()) const;
    Result<void> set_option(abi::ConnectionOption option, uint64_t value,
                            Deadline deadline = Deadline::never()) const;
    Result<abi::ConnectionState> state(Deadline deadline = Deadline::never()) const;
};

// Names a listening port. Does not own the handle.
class Listener : public ServedReference {
public:
    using Reference = Listener;
    using ServedReference::ServedReference;

    // The next connection, of which the caller owns the handle.
    Result<Owned<Connection>> accept(Deadline deadline = Deadline::never()) const;
};

// Names the network, or a prefix of its paths. Does not own the handle.
class Network : public Directory {
public:
    using Reference = Network;
    using Directory::Directory;

    // Of the network itself only.
    Result<abi::NetworkState> state(Deadline deadline = Deadline::never()) const;
};

}  // namespace annulus
