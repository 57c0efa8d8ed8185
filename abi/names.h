// SPDX-License-Identifier: MIT
// Names of verbs, object types and resources, for generated code, reports and traces.
#pragma once

#include "abi/handle.h"
#include "abi/protocol.h"
#include "abi/records.h"
#include "abi/verb.h"

namespace annulus::abi {

// Each is indexed by its enumeration. An object type without a name is not given out yet.
inline constexpr const char* verb_names[] = {
    "read", "write", "open", "create", "remove", "rename",   "get",   "set",
    "list", "share", "map",  "sync",   "accept", "shutdown", "watch", "close",
};
inline constexpr const char* object_type_names[] = {
    "none",  "budget",   "process", "thread",    "memory", "semaphore", "table", "served",
    "timer", "hardware", "ports",   "interrupt", "power",  "console",   "set",   "channel",
    "ring",  "",         "",        "",          "",       "",          "",      "",
    "",      "",         "",        "",          "",       "",          "",      "any",
};
inline constexpr const char* resource_names[] = {
    "pages",        "reserved_pages", "kernel_bytes", "handles", "slots",
    "wait_records", "pins",           "timers",       "threads", "leases",
};
inline constexpr const char* protocol_names[] = {
    "unknown",    "stream", "directory", "file",     "system",     "packet",    "pci",
    "pci_device", "source", "network",   "listener", "connection", "datagrams",
};
static_assert(sizeof(verb_names) / sizeof(verb_names[0]) == verb_count);
static_assert(sizeof(object_type_names) / sizeof(object_type_names[0]) == object_type_count);
static_assert(sizeof(resource_names) / sizeof(resource_names[0]) == resource_count);

constexpr const char* name_of(Verb verb) { return verb_names[static_cast<unsigned>(verb) & 15]; }

constexpr const char* name_of(ObjectType type) {
    const auto index = static_cast<unsigned>(type);
    const bool known = index < object_type_count && object_type_names[index][0] != 0;
    return known ? object_type_names[index] : "unknown";
}

constexpr const char* name_of(Protocol protocol) {
    const auto index = static_cast<uint32_t>(protocol);
    constexpr uint32_t known = sizeof(protocol_names) / sizeof(protocol_names[0]);
    return index < known ? protocol_names[index] : "unknown";
}

constexpr const char* name_of(Resource resource) {
    const auto index = static_cast<unsigned>(resource);
    return index < resource_count ? resource_names[index] : "unknown";
}

}  // namespace annulus::abi
