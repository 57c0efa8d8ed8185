// SPDX-License-Identifier: MIT
// Paths of PCI devices.
#include "services/pci/config/device_path.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace annulus::pci {
namespace {

Function network() {
    Function function;
    function.vendor = 0x1af4;
    function.device = 0x1041;
    function.class_code = 2;
    return function;
}

TEST(DevicePath, Matches) {
    for (const char* text : {"id/1af4:1041", "class/0200", "at/02:1f.3"}) {
        const auto path = DevicePath::parse(text);
        ASSERT_TRUE(path.has_value()) << text;
        EXPECT_EQ(path->index(), 0u);
        EXPECT_TRUE(path->matches(0x02fb, network())) << text;
    }
    for (const char* text : {"id/1af4:1042", "id/1af5:1041", "class/0201", "at/02:1f.2"}) {
        const auto path = DevicePath::parse(text);
        ASSERT_TRUE(path.has_value()) << text;
        EXPECT_FALSE(path->matches(0x02fb, network())) << text;
    }
    EXPECT_EQ(DevicePath::parse("class/0200/12")->index(), 12u);
}

TEST(DevicePath, RefusesOthers) {
    for (const char* text :
         {"", "id", "id/", "id/1af4", "id/1af4:", "id/1af4:104", "id/1af4:10411", "id/1AF4:1041",
          "id/1af4:1041/", "id/1af4:1041/x", "id/1af4:1041/1234", "class/02", "class/02000",
          "at/00:02", "at/00:20.0", "at/00:02.8", "at/00:02.0/1", "at/000:02.0", "/id/1af4:1041"}) {
        EXPECT_FALSE(DevicePath::parse(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace annulus::pci
