// SPDX-License-Identifier: MIT
// First program of the Linux machine that serves files: mounts, loads the network card's modules,
// gives the card its address and starts nginx. A line on the console asks it something: "memory",
// how much is free; "symbols", the kernel's functions, as a file for nginx to serve.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// A machine that cannot serve is a failure of the whole measurement.
[[noreturn]] void fail(const char* what) {
    printf("LINUX FAIL %s: %s\n", what, strerror(errno));
    fflush(stdout);
    reboot(RB_POWER_OFF);
    for (;;) pause();
}

int must(const char* what, long result) {
    if (result < 0) fail(what);
    return static_cast<int>(result);
}

void mount_all() {
    must("mount /dev", mount("dev", "/dev", "devtmpfs", 0, nullptr));
    const int console = must("the console", open("/dev/console", O_RDWR));
    for (int i = 0; i < 3; ++i) must("dup2", dup2(console, i));
    must("mount /proc", mount("proc", "/proc", "proc", 0, nullptr));
    must("mount /sys", mount("sys", "/sys", "sysfs", 0, nullptr));
}

// In the order of the file names' list, which is the order in which they need each other.
void load_modules() {
    FILE* list = fopen("/modules/list", "r");
    if (list == nullptr) fail("/modules/list");
    char name[256];
    while (fscanf(list, "%255s", name) == 1) {
        const int module = must(name, open(name, O_RDONLY));
        must(name, syscall(SYS_finit_module, module, "", 0));
        close(module);
    }
    fclose(list);
}

sockaddr address_of(const char* text) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, text, &address.sin_addr);
    sockaddr generic;
    memcpy(&generic, &address, sizeof(generic));
    return generic;
}

void bring_up(int control, const char* name) {
    ifreq request = {};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    must("SIOCGIFFLAGS", ioctl(control, SIOCGIFFLAGS, &request));
    request.ifr_flags |= IFF_UP;
    must("SIOCSIFFLAGS", ioctl(control, SIOCSIFFLAGS, &request));
}

// The address that QEMU's user network sends connections to.
void give_address() {
    const int control = must("socket", socket(AF_INET, SOCK_DGRAM, 0));
    bring_up(control, "lo");
    ifreq request = {};
    strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    request.ifr_addr = address_of("10.0.2.15");
    must("SIOCSIFADDR", ioctl(control, SIOCSIFADDR, &request));
    request.ifr_netmask = address_of("255.255.255.0");
    must("SIOCSIFNETMASK", ioctl(control, SIOCSIFNETMASK, &request));
    bring_up(control, "eth0");
    rtentry route = {};
    route.rt_dst = address_of("0.0.0.0");
    route.rt_genmask = address_of("0.0.0.0");
    route.rt_gateway = address_of("10.0.2.2");
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    must("SIOCADDRT", ioctl(control, SIOCADDRT, &route));
    close(control);
}

void start_nginx() {
    if (must("fork", fork()) != 0) return;
    execl("/usr/sbin/nginx", "nginx", "-c", "/etc/nginx.conf", nullptr);
    fail("nginx");
}

void tell_memory() {
    FILE* file = fopen("/proc/meminfo", "r");
    if (file == nullptr) fail("/proc/meminfo");
    char line[256];
    while (fgets(line, sizeof(line), file) != nullptr) {
        if (strncmp(line, "Mem", 3) == 0) printf("LINUX MEMORY %s", line);
    }
    fclose(file);
    printf("LINUX MEMORY END\n");
    fflush(stdout);
}

void serve_symbols() {
    const int from = must("/proc/kallsyms", open("/proc/kallsyms", O_RDONLY));
    const int to = must("/www/symbols", open("/www/symbols", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    static char part[65536];
    for (;;) {
        const int length = must("read", read(from, part, sizeof(part)));
        if (length == 0) break;
        must("write", write(to, part, static_cast<size_t>(length)));
    }
    close(from);
    close(to);
    printf("LINUX SYMBOLS END\n");
    fflush(stdout);
}

}  // namespace

int main() {
    mount_all();
    load_modules();
    give_address();
    start_nginx();
    char line[64];
    while (fgets(line, sizeof(line), stdin) != nullptr) {
        if (strcmp(line, "memory\n") == 0) tell_memory();
        if (strcmp(line, "symbols\n") == 0) serve_symbols();
    }
    fail("the console");
}
