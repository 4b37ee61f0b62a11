/* The first process of a virtual phone: mounts what adbd needs, brings the network up, and starts
 * adbd again whenever it dies.
 *
 * It reads one word of the kernel command line, devdiff.storage=BYTES: the size of /data/local/tmp.
 * When adbd listens it says so on the console, once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/rtc.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORAGE "/data/local/tmp"
#define ADBD "/usr/sbin/adbd"

/* Port 5555 in the form /proc/net/tcp has it, followed by any peer and the state "listens". */
#define LISTENS_V4 ":15B3 00000000:0000 0A"
#define LISTENS_V6 ":15B3 00000000000000000000000000000000:0000 0A"

enum {
    SHELL_UID = 2000, /* Android's user "shell", whom adbd works for */
    CLOCK_SLACK_S = 1,
    STARTING_TICK_MS = 10,
    TICK_MS = 200,
    RESTART_PAUSE_MS = 100,
};

static void complain(const char *what) {
    fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
}

static void mount_at(const char *kind, const char *where, unsigned long flags, const char *options) {
    if (mount(kind, where, kind, flags, options) != 0)
        complain(where);
}

static size_t read_text(const char *path, char *text, size_t size) {
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t got;
        while (length + 1 < size && (got = read(file, text + length, size - 1 - length)) > 0)
            length += (size_t)got;
        close(file);
    }
    text[length] = 0;
    return length;
}

static void write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) < 0)
        complain(path);
    if (file >= 0)
        close(file);
}

/* The bytes /data/local/tmp may hold; 0 when the command line does not say. */
static unsigned long long storage_bytes(void) {
    static const char name[] = "devdiff.storage=";
    char line[2048];
    read_text("/proc/cmdline", line, sizeof line);
    const char *word = strstr(line, name);
    return word ? strtoull(word + sizeof name - 1, NULL, 10) : 0;
}

static void mount_everything(void) {
    char options[96];
    mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mkdir("/dev/pts", 0755);
    mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666");
    mkdir("/dev/shm", 0755);
    mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    unsigned long long bytes = storage_bytes();
    int length = snprintf(options, sizeof options, "mode=0771,uid=%d,gid=%d", SHELL_UID, SHELL_UID);
    if (bytes)
        snprintf(options + length, sizeof options - (size_t)length, ",size=%llu", bytes);
    mount_at("tmpfs", STORAGE, MS_NOSUID | MS_NODEV, options);
}

static void load_modules(void) {
    /* Each needs those before it. */
    static const char *const paths[] = {
        "/lib/modules/failover.ko", "/lib/modules/net_failover.ko", "/lib/modules/virtio_net.ko",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int file = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
            complain(paths[i]);
        if (file >= 0)
            close(file);
    }
}

static void configure(int sock, int what, const char *device, const char *address) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    if (address) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        inet_pton(AF_INET, address, &in.sin_addr);
        memcpy(&request.ifr_addr, &in, sizeof in);
    } else {
        request.ifr_flags = IFF_UP | IFF_RUNNING;
    }
    if (ioctl(sock, what, &request) != 0)
        complain(device);
}

/* The address is the one QEMU's user network forwards to by default. */
static void bring_up_network(void) {
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    configure(sock, SIOCSIFFLAGS, "lo", NULL);
    configure(sock, SIOCSIFADDR, "eth0", "10.0.2.15");
    configure(sock, SIOCSIFNETMASK, "eth0", "255.255.255.0");
    configure(sock, SIOCSIFFLAGS, "eth0", NULL);
    close(sock);
}

static pid_t start_adbd(const sigset_t *signals) {
    pid_t child = fork();
    if (child != 0)
        return child;
    static char *const arguments[] = {"adbd", NULL};
    static char *const environment[] = {
        "PATH=/system/bin:/usr/bin:/usr/sbin",
        "HOME=/",
        "SHELL=/bin/sh",
        "HOSTNAME=localhost",
        "TMPDIR=" STORAGE,
        "ADBD_PORT=5555",
        NULL,
    };
    const gid_t groups[] = {SHELL_UID};
    sigprocmask(SIG_UNBLOCK, signals, NULL);
    setsid();
    if (setgroups(1, groups) != 0 || setgid(SHELL_UID) != 0 || setuid(SHELL_UID) != 0) {
        complain("cannot become the shell user");
        _exit(1);
    }
    execve(ADBD, arguments, environment);
    complain(ADBD);
    _exit(1);
}

static int adbd_listens(void) {
    static char table[16384];
    read_text("/proc/net/tcp6", table, sizeof table);
    if (strstr(table, LISTENS_V6))
        return 1;
    read_text("/proc/net/tcp", table, sizeof table);
    return strstr(table, LISTENS_V4) != NULL;
}

/* A machine that is stored and goes on later has an old clock; the emulated chip's is right. */
static void follow_clock(int chip) {
    struct rtc_time read;
    if (chip < 0 || ioctl(chip, RTC_RD_TIME, &read) != 0)
        return;
    struct tm fields = {
        .tm_sec = read.tm_sec,
        .tm_min = read.tm_min,
        .tm_hour = read.tm_hour,
        .tm_mday = read.tm_mday,
        .tm_mon = read.tm_mon,
        .tm_year = read.tm_year,
    };
    /* The chip counts whole seconds; the middle of one is the best guess. */
    struct timespec right = {.tv_sec = timegm(&fields), .tv_nsec = 500000000L};
    struct timespec ours;
    clock_gettime(CLOCK_REALTIME, &ours);
    if (labs(right.tv_sec - ours.tv_sec) > CLOCK_SLACK_S)
        clock_settime(CLOCK_REALTIME, &right);
}

/* Collects the dead; true when adbd was among them. */
static int reap(pid_t adbd) {
    int lost = 0;
    for (pid_t dead; (dead = waitpid(-1, NULL, WNOHANG)) > 0;)
        lost |= dead == adbd;
    return lost;
}

int main(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    umask(022);
    mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
    int console = open("/dev/ttyAMA0", O_RDWR | O_NOCTTY);
    for (int stream = 0; console >= 0 && stream < 3; stream++)
        dup2(console, stream);
    mount_everything();
    load_modules();
    bring_up_network();
    sethostname("localhost", strlen("localhost"));
    /* adbd inherits this, as on Android; it gives the shells it starts the ordinary 0 back, so that
     * the kernel, out of memory, takes the runner and not the daemon. */
    write_text("/proc/self/oom_score_adj", "-1000");
    int chip = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
    int said = 0;
    pid_t adbd = start_adbd(&signals);
    for (;;) {
        long wait_ms = said ? TICK_MS : STARTING_TICK_MS;
        struct timespec wait = {.tv_nsec = wait_ms * 1000000L};
        sigtimedwait(&signals, NULL, &wait);
        if (reap(adbd)) {
            /* Android's init ends the whole process group of a service that died. */
            kill(-1, SIGKILL);
            struct timespec pause = {.tv_nsec = RESTART_PAUSE_MS * 1000000L};
            nanosleep(&pause, NULL);
            adbd = start_adbd(&signals);
        }
        if (!said && adbd_listens()) {
            said = 1;
            printf("devdiff: adbd listens\n");
            fflush(stdout);
        }
        if (said)
            follow_clock(chip);
    }
}
