/* hostile.c: see hostile.h. "denied" is printed by a program whose attempt failed as it must. */
#include "tests/box/hostile.h"

#include <signal.h>

#define END(X) (1U << BOX_##X)
#define C_HEAD                                                                                     \
    "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <sched.h>\n"            \
    "#include <signal.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"          \
    "#include <sys/mman.h>\n#include <sys/socket.h>\n#include <sys/stat.h>\n"                      \
    "#include <sys/syscall.h>\n#include <sys/wait.h>\n#include <unistd.h>\n"
#define C_MAIN(BODY) C_HEAD "int main(void){" BODY ";return 0;}"
/* An attempt that must fail. */
#define C_DENIED(CALL) C_MAIN("puts((long)(" CALL ")<0?\"denied\":\"done\")")
/* A system call that must end the program. */
#define C_CALL(CALL) C_MAIN("syscall(" CALL ",0,0,0,0,0);puts(\"alive\")")
#define PY_DENIED(STATEMENTS)                                                                      \
    "import os,sys\ntry:\n " STATEMENTS "\n print('done')\nexcept OSError: print('denied')\n"

const struct hostile hostile_programs[] = {
    /* what a good program does */
    {"sum", "python", "print(sum(map(int,input().split())))", END(EXITED), 0, "7\n"},
    {"sum in C", "c", C_MAIN("int a,b;scanf(\"%d%d\",&a,&b);printf(\"%d\\n\",a+b)"), END(EXITED), 0,
        "7\n"},
    {"imports", "python",
        "import json,re,math,random,itertools,collections,heapq,bisect,functools,string,"
        "datetime,decimal,fractions,hashlib,typing,statistics,tempfile,threading\n"
        "t=threading.Thread(target=print,args=('t',));t.start();t.join()",
        END(EXITED), 0, "t\n"},
    {"own files", "python", "open('a','w').write('x');print(open('/tmp/a').read())", END(EXITED), 0,
        "x\n"},

    /* using up */
    {"fork bomb", "python",
        "import os\nfor i in range(10000):\n try:\n  if os.fork()==0:\n   while 1: pass\n"
        " except OSError: pass\nwhile 1: pass",
        END(CPU) | END(WALL) | END(STARVED), ANY, NULL},
    {"thread bomb", "python",
        "import threading,time\ndef f():\n while 1: pass\nfor i in range(1000):\n"
        " threading.Thread(target=f).start()",
        END(EXITED) | END(CPU) | END(SIGNALLED) | END(WALL) | END(STARVED) | END(MEMORY), ANY,
        NULL},
    {"memory bomb", "c", C_MAIN("for(;;){char*p=malloc(1<<20);if(!p)abort();memset(p,1,1<<20);}"),
        END(MEMORY) | END(SIGNALLED), ANY, NULL},
    {"memory bomb of processes", "c",
        C_MAIN("fork();fork();for(;;){char*p=malloc(1<<20);if(!p)abort();memset(p,1,1<<20);}"),
        END(MEMORY) | END(SIGNALLED), ANY, NULL},
    {"files in memory", "c",
        C_MAIN("char b[4096]={1};for(int n=0;n<100;n++){char s[9];sprintf(s,\"%d\",n);int f=open("
               "s,O_CREAT|O_WRONLY,0600);while(write(f,b,4096)>0);}puts(\"full\")"),
        END(EXITED) | END(SIGNALLED) | END(MEMORY), ANY, NULL},
    {"many files", "python",
        PY_DENIED("for i in range(100000): os.close(os.open(str(i),os.O_CREAT|os.O_WRONLY))"),
        END(EXITED), 0, "denied\n"},
    {"descriptors", "python", PY_DENIED("for i in range(100000): os.dup(0)"), END(EXITED), 0,
        "denied\n"},
    {"output flood", "c", C_MAIN("for(;;)puts(\"flood\")"), END(OUTPUT), ANY, NULL},
    {"errors flood", "c", C_MAIN("for(;;)fputs(\"flood\",stderr)"), END(OUTPUT), ANY, NULL},
    {"endless loop", "c", C_MAIN("for(volatile int i=0;;i++)"), END(CPU) | END(STARVED), ANY, NULL},
    {"endless loop without signals", "c",
        C_MAIN("sigset_t s;sigfillset(&s);sigprocmask(SIG_BLOCK,&s,0);signal(SIGXCPU,SIG_IGN);"
               "for(volatile int i=0;;i++)"),
        END(CPU) | END(STARVED), ANY, NULL},
    {"waits for ever", "c", C_MAIN("for(;;)pause()"), END(WALL), ANY, NULL},
    {"stops itself", "c", C_MAIN("raise(SIGSTOP)"), END(WALL), ANY, NULL},
    {"reads on", "python", "import sys\nsys.stdin.read();print(len(sys.stdin.read()))", END(EXITED),
        0, "0\n"},
    {"recursion in C", "c",
        C_HEAD "int f(int n){volatile char b[4096];b[n%4096]=1;return f(n+1)+b[0];}"
               "int main(void){return f(0);}",
        END(SIGNALLED) | END(MEMORY), ANY, NULL},
    {"deep recursion", "python", "def f(): return f()+1\nf()", END(EXITED), 1, NULL},
    {"big power", "python", "print(9**9**9**9)", END(CPU) | END(STARVED) | END(MEMORY), ANY, NULL},
    {"nested brackets", "python", "eval('('*100000+')'*100000)", END(EXITED), 1, NULL},
    {"daemon that holds the output", "c",
        C_MAIN("if(fork()==0){setsid();if(fork()==0)for(;;)pause();_exit(0);}puts(\"end\")"),
        END(EXITED), 0, "end\n"},
    {"core dump", "c", C_MAIN("abort()"), END(SIGNALLED), SIGABRT, NULL},

    /* getting out */
    {"internet", "python", PY_DENIED("import socket;socket.socket().connect(('127.0.0.1',80))"),
        END(EXITED), 0, "denied\n"},
    {"vsock", "c", C_DENIED("socket(40,1,0)"), END(EXITED), 0, "denied\n"},
    {"netlink", "c", C_DENIED("socket(16,3,0)"), END(EXITED), 0, "denied\n"},
    {"descriptors over sockets", "c",
        C_MAIN("int p[2];socketpair(1,1,0,p);struct msghdr m={0};"
               "puts(sendmsg(p[0],&m,0)<0?\"denied\":\"done\")"),
        END(EXITED), 0, "denied\n"},
    {"io_uring", "c", C_CALL("SYS_io_uring_setup"), END(VIOLATION), SIGSYS, ""},
    {"bpf", "c", C_CALL("SYS_bpf"), END(VIOLATION), SIGSYS, ""},
    {"userfaultfd", "c", C_CALL("SYS_userfaultfd"), END(VIOLATION), SIGSYS, ""},
    {"keyctl", "c", C_CALL("SYS_keyctl"), END(VIOLATION), SIGSYS, ""},
    {"ptrace", "c", C_CALL("SYS_ptrace"), END(VIOLATION), SIGSYS, ""},
    {"process_vm_readv", "c", C_CALL("SYS_process_vm_readv"), END(VIOLATION), SIGSYS, ""},
    {"mount", "c", C_CALL("SYS_mount"), END(VIOLATION), SIGSYS, ""},
    {"pivot_root", "c", C_CALL("SYS_pivot_root"), END(VIOLATION), SIGSYS, ""},
    {"chroot", "c", C_CALL("SYS_chroot"), END(VIOLATION), SIGSYS, ""},
    {"setns", "c", C_CALL("SYS_setns"), END(VIOLATION), SIGSYS, ""},
    {"unshare", "c", C_MAIN("unshare(CLONE_NEWUSER)"), END(VIOLATION), SIGSYS, ""},
    {"perf", "c", C_CALL("SYS_perf_event_open"), END(VIOLATION), SIGSYS, ""},
    {"clock", "c", C_CALL("SYS_clock_settime"), END(VIOLATION), SIGSYS, ""},
    {"clone with a namespace", "c",
        C_MAIN("syscall(SYS_clone,CLONE_NEWUSER|SIGCHLD,0,0,0,0);puts(\"alive\")"), END(VIOLATION),
        SIGSYS, ""},
    {"clone3", "c",
        C_MAIN("long a[11]={CLONE_NEWUSER};puts(syscall(SYS_clone3,a,88)<0&&errno==ENOSYS?"
               "\"denied\":\"done\")"),
        END(EXITED), 0, "denied\n"},
#if defined(__x86_64__)
    {"32-bit entry", "c",
        C_MAIN("long r;__asm__ volatile(\"int $0x80\":\"=a\"(r):\"a\"(20));puts(\"alive\")"),
        END(VIOLATION) | END(SIGNALLED), ANY, ""},
    {"x32 entry", "c", C_MAIN("syscall(0x40000000|39);puts(\"alive\")"), END(VIOLATION), SIGSYS,
        ""},
#endif
    {"kill everybody", "c", C_MAIN("kill(-1,9);kill(1,9);puts(\"alone\")"), END(EXITED), 0,
        "alone\n"},
    {"kill the parent, which is nobody", "c", C_MAIN("kill(getppid(),9);puts(\"alive\")"),
        END(SIGNALLED), SIGKILL, ""},
    {"processes of the host", "python", PY_DENIED("os.listdir('/proc')"), END(EXITED), 0,
        "denied\n"},
    {"files of the host", "python",
        "import os\nprint([d for d in ('/etc','/home','/root','/var','/sys','/work','/opt')"
        " if os.path.exists(d)])",
        END(EXITED), 0, "[]\n"},
    {"inherited descriptors", "c",
        C_MAIN("int n=0;for(int f=3;f<64;f++)n+=fcntl(f,F_GETFD)>=0;printf(\"%d\\n\",n)"),
        END(EXITED), 0, "0\n"},
    {"writing the root", "python", PY_DENIED("open('/usr/lib/x','w')"), END(EXITED), 0, "denied\n"},
    {"writing a library", "python", PY_DENIED("open('/usr/lib/python3.11/os.py','a')"), END(EXITED),
        0, "denied\n"},
    {"hard link", "python", PY_DENIED("os.link('/usr/lib/python3.11/os.py','/box/os.py')"),
        END(EXITED), 0, "denied\n"},
    {"device", "c", C_DENIED("mknod(\"d\",S_IFBLK|0600,0x800)"), END(EXITED), 0, "denied\n"},
    {"being root", "c", C_DENIED("setuid(0)"), END(EXITED), 0, "denied\n"},
    {"file locks", "c", C_DENIED("({struct flock l={.l_type=F_RDLCK};fcntl(0,F_SETLK,&l);})"),
        END(EXITED), 0, "denied\n"},
    {"shared memory", "c", C_DENIED("syscall(SYS_shmget,1,4096,01600)"), END(EXITED), 0,
        "denied\n"},
    {"anonymous file", "c", C_DENIED("syscall(SYS_memfd_create,\"m\",0)"), END(EXITED), 0,
        "denied\n"},
    {"typing into a terminal", "c", C_DENIED("({char c='x';syscall(SYS_ioctl,0,0x5412,&c);})"),
        END(EXITED), 0, "denied\n"},
    {"processor of its choice", "c",
        C_DENIED("({cpu_set_t s;CPU_ZERO(&s);CPU_SET(0,&s);sched_setaffinity(0,sizeof s,&s);})"),
        END(EXITED), 0, "denied\n"},
    {"priority", "c", C_DENIED("({errno=0;syscall(SYS_setpriority,0,0,-5);})"), END(EXITED), 0,
        "denied\n"},

    /* aimed at how these boxes are made */
    {"another order for the zygote", "python",
        "import ctypes\nl=ctypes.PyDLL('/warm.so')\nl.launch_ready()\n"
        "l.launch_lost(7)\nprint('still here')",
        END(EXITED) | END(VIOLATION), ANY, NULL},
    {"a zygote of its own", "python",
        "import ctypes\ntry: l=ctypes.PyDLL('/warm.so')\nexcept OSError: exit()\n"
        "l.launch_next()\nprint('an order came')",
        END(EXITED), 0, ""},
    {"descriptors of the zygote", "c",
        C_MAIN("int n=0;for(int f=64;f<2048;f++)n+=fcntl(f,F_GETFD)>=0;struct stat s;"
               "n+=fstat(960,&s)==0;printf(\"%d %d\\n\",n,dup2(0,960))"),
        END(EXITED), 0, "0 -1\n"},
    {"the zygote's setns", "c",
        C_MAIN("puts(setns(961,CLONE_NEWPID)<0&&errno==EBADF?\"denied\":\"done\");"
               "setns(0,CLONE_NEWPID);puts(\"alive\")"),
        END(VIOLATION), SIGSYS, NULL},
    {"the zygote's umount2", "c", C_DENIED("syscall(SYS_umount2,\"/box\",10)"), END(EXITED), 0,
        "denied\n"},
    {"the zygote's move_mount", "c", C_DENIED("syscall(SYS_move_mount,962,\"\",-100,\"/box\",4)"),
        END(EXITED), 0, "denied\n"},
    {"rights back", "c",
        C_DENIED(
            "({int h[2]={0x20080522,0};unsigned d[6]={-1u,-1u,-1u};syscall(SYS_capset,h,d);})"),
        END(EXITED), 0, "denied\n"},
    {"more descriptors than a program has", "c",
        C_DENIED("({struct{long a,b;}l={4096,4096};syscall(SYS_prlimit64,0,7,&l,0);})"),
        END(EXITED), 0, "denied\n"},
    {"stopping the first process", "c",
        C_MAIN("kill(1,SIGSTOP);kill(1,SIGTERM);kill(1,SIGKILL);puts(\"alone\")"), END(EXITED), 0,
        "alone\n"},
    {"a first process that is waited out", "c",
        C_MAIN("if(vfork()==0){setsid();if(fork()==0){signal(SIGTERM,SIG_IGN);for(;;)pause();}"
               "_exit(0);}puts(\"done\")"),
        END(EXITED), 0, "done\n"},
    {"interpreter that cannot end", "python",
        "import os,sys,atexit\nos._exit=sys.exit=lambda *a: None\natexit.register(lambda: 1/0)\n"
        "sys.excepthook=None\nsys.stdout=None\nraise KeyError",
        END(EXITED), 1, ""},
    {"memory in the interpreter", "python", "a=[]\nwhile True: a.append(b'a'*(1<<20))",
        END(MEMORY) | END(EXITED), ANY, NULL},
    {"memory that is only asked for", "python", "a=[]\nwhile True: a.append(bytearray(1<<20))",
        END(MEMORY) | END(EXITED), ANY, NULL, .slow = true},
    {"memory of a library's name", "python", PY_DENIED("open('/warm.so','r+b')"), END(EXITED), 0,
        "denied\n"},

    /* the end counts as the zygote saw it */
    {"child that fails", "c", C_MAIN("if(vfork()==0)_exit(9);puts(\"ok\")"), END(EXITED), 0,
        "ok\n"},
    {"no output after the end", "python",
        "import os,sys\nprint('a',flush=True)\nos._exit(3)\nprint('b')", END(EXITED), 3, "a\n"},
    {"bytes as they are", "python",
        "import sys\nsys.stdout.buffer.write(bytes(range(1,256)))\nsys.exit(4)", END(EXITED), 4,
        NULL},
};

const size_t hostile_count = sizeof(hostile_programs) / sizeof(hostile_programs[0]);
