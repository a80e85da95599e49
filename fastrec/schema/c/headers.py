"""Headers known by their names: what each may define and declare, and macros that come from none.

Sources: ISO C17, 7.2 to 7.29 (macros of each header) and 7.31 (names kept for them); POSIX.1-2017, 2.2.2;
what glibc's headers define besides, by ``gcc -E -dM``.
"""

from __future__ import annotations

import re

__all__ = ["BEFORE", "base_name", "is_foreign", "is_windows", "may_declare", "may_define"]

BEFORE = "headers that it expects before it"
"""What stands for the headers that a text needs and does not include."""

_COMPILERS_TEXT = """
    __cplusplus __OBJC__ __ASSEMBLY__ __ASSEMBLER__ __STRICT_ANSI__ __OPTIMIZE__ __GNUC__ __GNUC_MINOR__
    __GNUC_PATCHLEVEL__ __GNUG__ __clang__ __clang_major__ __clang_minor__ __INTEL_COMPILER
    __INTEL_LLVM_COMPILER __ICC __ICL __TINYC__ __PGI __NVCC__ __CUDACC__ __CUDA_ARCH__ __HIPCC__ __SUNPRO_C
    __SUNPRO_CC __xlc__ __xlC__ __IBMC__ __IBMCPP__ __HP_cc __HP_aCC __DMC__ __BORLANDC__ __CODEGEARC__
    __TURBOC__ __WATCOMC__ __MWERKS__ __LCC__ __POCC__ __ICCARM__ __ICCAVR__ __ICC430__ __IAR_SYSTEMS_ICC__
    __CC_ARM __ARMCC_VERSION __TI_ARM__ __TI_COMPILER_VERSION__ __TASKING__ __C51__ __C166__ __XC8 __XC16__
    __XC32__ __SDCC SDCC __GHS__ __ghs__ __DCC__ __CYGWIN__ __MINGW32__ __MINGW64__ __MSYS__ __APPLE__
    __MACH__ __ANDROID__ __FreeBSD__ __NetBSD__ __OpenBSD__ __DragonFly__ __HAIKU__ __QNX__ __QNXNTO__
    __VXWORKS__ __INTEGRITY __ZEPHYR__ __EMSCRIPTEN__ __wasm__ __sun sun __sun__ __hpux hpux _AIX __sgi sgi
    __svr4__ __SVR4 __arm__ __arm __thumb__ __ARM_ARCH __ARM_ARCH_7A__ __ARM_EABI__ __ARM_NEON __aarch64__
    __i386__ __i386 i386 __x86_64__ __x86_64 __amd64__ __amd64 __ia64__ __powerpc__ __powerpc64__ __PPC__
    __PPC64__ __ppc__ __ppc64__ __mips__ __mips mips __mips64 __MIPSEB__ __MIPSEL__ __riscv __riscv_xlen
    __s390__ __s390x__ __sparc__ __sparc __alpha__ __hppa__ __m68k__ __sh__ __AVR__ __MSP430__ __xtensa__
    __loongarch__ __AARCH64EB__ __ARMEB__ __ARMEL__ __linux__ __linux linux __gnu_linux__ __unix__ __unix
    unix __ELF__ __LP64__ _LP64 __ILP32__ _ILP32 _WIN32 _WIN64 _WIN32_WCE _MSC_VER _MSC_FULL_VER
    _MSC_EXTENSIONS _M_X64 _M_AMD64 _M_IX86 _M_ARM _M_ARM64 _M_ARM64EC _M_IA64 _MT _DLL _CHAR_UNSIGNED
    _CPPUNWIND _CPPRTTI _OPENMP __CHAR_UNSIGNED__ __PIC__ __pic__ __SSE__ __SSE2__ __AVX__ __AVX2__
    __SANITIZE_ADDRESS__ __SANITIZE_THREAD__ __CHECKER__ __COVERITY__ __INTELLISENSE__ __RESHARPER__
    __clang_analyzer__ __DOXYGEN__ DOXYGEN DOXYGEN_SHOULD_SKIP_THIS SWIG SWIGIMPORTED RC_INVOKED MIDL_PASS
    __midl __MIDL__ __KERNEL__ __GENKSYMS__ __BINDGEN__ __has_feature __has_extension __has_builtin
    __has_attribute __has_c_attribute __has_cpp_attribute __has_declspec_attribute __has_warning VMS __VMS
    __vms OS2 __OS2__ MSDOS _MSDOS __MSDOS__ __DJGPP__ AMIGA macintosh THINK_C TPF __OS400__ __MVS__
    __BEOS__ __riscos__ WINCE
"""
_COMPILERS = frozenset(_COMPILERS_TEXT.split())
"""Names that compilers and other tools define, and no header."""
_COMMAND_LINE = frozenset(
    ["DEBUG", "NDEBUG", "NONAMELESSUNION", "UNICODE", "_UNICODE", "WIN32", "WIN64", "_DEBUG"]
)
"""Names that people define for whole programs; a header of theirs may do so, one of the system does not."""

_PREFIXES_TEXT = """
    ABDAY ABMON AF AI AIO ALT AM AT BC BIG BUS BYTE CHAR CHARCLASS CLD CLOCK CLOCKS CMSG COLL D DAY
    DELAYTIMER DEV DT EAI EFD EPOLL ERA EXEC EXIT EXPR F FD FE FP FPE GLOB GROUP HOST HUGE IF IFF ILL IN IN6
    IN6ADDR INADDR INET INET6 INT INT16 INT32 INT64 INT8 INTMAX INTPTR IOC IOCSIZE IP IPC IPPORT IPPROTO
    IPV6 ITIMER L LC LINE LIO LITTLE LLONG LOCK LOG LOGIN LONG M MADV MAP MATH MAX MB MCAST MCL MNTOPT
    MNTTYPE MON MQ MS MSG N NAME NETDB NGROUPS NI NL NO NSS O ONCE PATH PDP PF PIPE PM POLL POSIX PR PRIO
    PROT PTHREAD PTRDIFF R RAND RE REG RLIM RLIMIT RTLD RTSIG RUSAGE S SA SCHAR SCHED SCM SEEK SEGV SEM SFD
    SHM SHRT SHUT SI SIG SIGEV SIOCGSTAMP SIOCGSTAMPNS SIZE SO SOCK SOL SS SSIZE ST STDERR STDIN STDOUT SUN
    SYS SYSCALL T TCP TCPI TCPOLEN TCPOPT TFD TH TIME TIMER TIOCM TIOCPKT TIOCSER TRY TSS TTY TTYDEF UCHAR
    UINT UINT16 UINT32 UINT64 UINT8 UINTMAX UINTPTR UIO UL ULLONG ULONG USHRT UTIME W WAIT WCHAR WINT X
    XATTR
"""
_HIDDEN = (
    r"__\w*|_(?:POSIX|XOPEN|ISOC|GNU_SOURCE|DEFAULT|BSD|SVID|LARGEFILE|FILE_OFFSET|ATFILE|REENTRANT|FORTIFY"
    r"|BITS|STD|SYS|FEATURES|CRT|UCRT|INC|VC|SIZE|SSIZE|PTRDIFF|WCHAR|WINT|TIME|CLOCK|TM_|VA_LIST|INTPTR"
    r"|UINTPTR|ERRNO|LIMITS|FLOAT|MATH|STRING|CTYPE|LOCALE|SIGNAL|SETJMP|ASSERT|WCTYPE|INTTYPES|COMPLEX|FENV"
    r"|UCHAR|ISO646|ASM|GCC|LIBC|LINUX|ANSI|T_|ALLOCA|ENDIAN|MAX_|IO|SIGSET|NSIG|RWLOCK|STRUCT)\w*"
)
_LIMITS = (
    r"[A-Z][A-Z0-9_]*_(?:MAX|MIN|BIT|SIZE|WIDTH|DIG|BUF|ITERATIONS)|NL_\w+|NZERO|PAGESIZE|MAX_(?:CANON|INPUT)"
)
_INTEGERS = (
    r"U?INT(?:\d|_LEAST|_FAST|MAX|PTR)\w*_(?:MAX|MIN|C|WIDTH)"
    r"|(?:SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC)_(?:MAX|MIN|WIDTH)"
)
_SMALL = {
    "assert": "assert|static_assert",
    "ctype": r"(?:is|to)[a-z]\w*|_IS\w+|_to\w+",
    "errno": r"E[A-Z0-9]\w*|errno",
    "float": r"(?:FLT|DBL|LDBL|FLT\d+X?|DEC\d*)_\w+|DECIMAL_DIG",
    "inttypes": rf"(?:PRI|SCN)[a-zX]\w*|{_INTEGERS}",
    "iso646": "and|and_eq|bitand|bitor|compl|not|not_eq|or|or_eq|xor|xor_eq",
    "limits": _LIMITS,
    "math": r"M_\w+|(?:FP|MATH|HUGE_VAL|DOMAIN|SING|OVERFLOW|UNDERFLOW|PLOSS|TLOSS)\w*|INFINITY|NAN|MAXFLOAT"
    r"|is\w+|signbit|fpclassify|math_errhandling",
    "stdalign": "alignas|alignof",
    "stdarg": r"va_\w+",
    "stdatomic": r"ATOMIC_\w+|atomic_\w+|kill_dependency",
    "stdbool": "bool|true|false",
    "stddef": "NULL|offsetof|unreachable",
    "stdint": _INTEGERS,
    "stdio": r"NULL|EOF|BUFSIZ|(?:FILENAME|FOPEN|TMP|L_|P_tmpdir|SEEK_)\w*|std(?:in|out|err)",
    "stdnoreturn": "noreturn",
    "string": "NULL|strdupa|strndupa",
    "uchar": "",
    "wchar": "NULL|WEOF|WCHAR_M(?:AX|IN)",
    "wctype": r"WEOF|_ISw\w+",
}
"""Headers of ISO C that define little, and what."""
_LARGE = ["complex", "fenv", "locale", "setjmp", "signal", "stdlib", "tgmath", "threads", "time"]
"""Those that bring others with them on some systems."""
_ANY = rf"_\w*|[A-Z][A-Z0-9]*|[a-z]\w*|(?:{'|'.join(_PREFIXES_TEXT.split())})_\w+"
"""What any header of ISO C or POSIX may define."""
# Patterns are compiled when a text asks for them: importing this costs nothing.
_ISO = {name: f"{_HIDDEN}|{own}" for name, own in _SMALL.items()}
_ISO |= dict.fromkeys(_LARGE, _ANY)
_ISO = {spelled: own for name, own in _ISO.items() for spelled in (f"{name}.h", f"c{name}")}

_POSIX_TEXT = """
    unistd fcntl pthread poll sched semaphore mqueue termios dirent dlfcn endian byteswap features netdb
    grp pwd syslog utime wordexp glob regex spawn strings aio iconv langinfo libgen search ulimit mntent
    arpa/ftp arpa/inet arpa/nameser arpa/nameser_compat arpa/telnet arpa/tftp net/ethernet net/if
    net/if_arp net/if_packet net/if_ppp net/if_shaper net/if_slip net/ppp-comp net/ppp_defs net/route
    netinet/ether netinet/icmp6 netinet/if_ether netinet/if_fddi netinet/if_tr netinet/igmp netinet/in
    netinet/in_systm netinet/ip netinet/ip6 netinet/ip_icmp netinet/tcp netinet/udp sys/acct sys/auxv
    sys/bitypes sys/cdefs sys/debugreg sys/dir sys/elf sys/epoll sys/errno sys/eventfd sys/fanotify
    sys/fcntl sys/file sys/fsuid sys/gmon sys/gmon_out sys/inotify sys/io sys/ioctl sys/ipc sys/kd
    sys/klog sys/mman sys/mount sys/msg sys/mtio sys/param sys/pci sys/perm sys/personality sys/pidfd
    sys/poll sys/prctl sys/procfs sys/profil sys/ptrace sys/queue sys/quota sys/random sys/raw sys/reboot
    sys/reg sys/resource sys/rseq sys/select sys/sem sys/sendfile sys/shm sys/signal sys/signalfd
    sys/single_threaded sys/socket sys/socketvar sys/soundcard sys/stat sys/statfs sys/statvfs sys/swap
    sys/syscall sys/sysinfo sys/syslog sys/sysmacros sys/termios sys/time sys/timeb sys/timerfd sys/times
    sys/timex sys/ttychars sys/ttydefaults sys/types sys/ucontext sys/uio sys/un sys/unistd sys/user
    sys/utsname sys/vfs sys/vlimit sys/vm86 sys/vt sys/wait sys/xattr
"""
_POSIX = frozenset(f"{name}.h" for name in _POSIX_TEXT.split())
_KERNEL = re.compile(r"(?:linux|asm|asm-generic|bits|uapi)/.*")
_WINDOWS_TEXT = r"""
    windows windowsx windef minwindef winnt winbase winuser wingdi wtypes wtypesbase basetsd basetyps
    guiddef ntdef ntstatus winerror winsock2? ws2(?:tcpip|def|ipdef|spi|bth) mswsock iphlpapi objbase
    combaseapi ole2 oleauto oaidl objidl\w* unknwn\w* rpc rpcndr rpcdce initguid comdef tchar mmsystem
    mmreg mmdeviceapi shlobj\w* shellapi shlwapi commctrl commdlg setupapi cfgmgr32 dbt hidsdi hidpi
    hidusage winusb wininet winhttp wincrypt psapi tlhelp32 winreg winioctl winsvc processthreadsapi
    synchapi fileapi handleapi sysinfoapi timeapi intsafe strsafe specstrings\w* sdkddkver winapifamily
    wmsdk\w* wmdrm\w* drmexternals dshow strmif mfapi mfidl mfobjects d3d\w* dxgi\w* xinput dinput sal
"""
_WINDOWS = "(?:" + "|".join(_WINDOWS_TEXT.split()) + r")\.h"
_OF_WINDOWS_ALONE = re.compile(r"win(?:dows|def|nt)|wtypes|rpcndr|oaidl|objidl|unknwn|ole2|wmsdk|wmdrm", re.I)
"""Those that are Microsoft's in quotes, too."""


def base_name(file: str) -> str:
    """The name of a file without the marks around it: ``<a.h>`` and ``"a.h"`` are how texts include it."""
    return file[1:-1] if file[:1] in '<"' else file


def is_windows(file: str) -> bool:
    """Whether it is one of Microsoft's headers."""
    found = re.fullmatch(_WINDOWS, base_name(file), re.IGNORECASE)
    return found is not None and (file[:1] == "<" or _OF_WINDOWS_ALONE.match(base_name(file)) is not None)


def _is_system(file: str) -> bool:
    """Whether it is one of ISO C, POSIX or the kernel; in quotes it may be anybody's."""
    name = base_name(file)
    return file[:1] == "<" and bool(name in _ISO or name in _POSIX or _KERNEL.fullmatch(name))


def may_define(file: str, name: str) -> bool:
    """Whether a header, as a text includes it, may define a macro of this name."""
    if name in _COMPILERS:
        return False
    if not (_is_system(file) or is_windows(file)):
        return True
    if name in _COMMAND_LINE or is_windows(file):
        return name not in _COMMAND_LINE
    own = _ISO.get(base_name(file)) or (_ANY if base_name(file) in _POSIX else None)
    return own is None or re.fullmatch(own, name, re.ASCII) is not None


def may_declare(file: str) -> bool:
    """Whether a header may declare what is not known here; of ISO C all is."""
    return file != BEFORE and not (file[:1] == "<" and base_name(file) in _ISO)


def is_foreign(file: str) -> bool:
    """Whether a header may declare types that are known here as something else."""
    return not (file == BEFORE or _is_system(file) or is_windows(file))
