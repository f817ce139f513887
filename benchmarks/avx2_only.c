/* A processor with AVX2 alone, imitated on a newer one, for every library of a process.
 *
 *     cc -shared -fPIC -O1 -o avx2_only.so benchmarks/avx2_only.c
 *     LD_PRELOAD=$PWD/avx2_only.so python benchmarks/bench_predict.py MODEL.onnx --engines
 *
 * ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA tell PyTorch and oneDNN to do without what they find;
 * onnxruntime's own kernels know no such variable. Here the instruction CPUID itself, by which all of
 * them ask, answers that the processor has neither AVX-512 nor VNNI nor AMX. Linux on x86-64; the
 * processor must be able to fault on CPUID ("cpuid_fault" in /proc/cpuinfo). What the kernel says in
 * /proc/cpuinfo stays as it is.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012 /* arch_prctl(2) */
#define BIT(n) (UINT32_C(1) << (n))

/* Intel SDM, volume 2A, table "Information Returned by CPUID Instruction", leaf 7 */
static const uint32_t AVX512_EBX = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
static const uint32_t AVX512_ECX = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14);
static const uint32_t AVX512_AMX_EDX = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25);
static const uint32_t SUBLEAF_1_EAX = BIT(4) | BIT(5) | BIT(21) | BIT(23); /* AVX-VNNI, bf16, fp16, AVX-IFMA */

static void answer(int signal_number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)registers[REG_RIP];
    (void)info;
    if (code[0] != 0x0f || code[1] != 0xa2) { /* no CPUID: a real fault, which happens again */
        signal(signal_number, SIG_DFL);
        return;
    }
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(subleaf));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && subleaf == 0) {
        b &= ~AVX512_EBX;
        c &= ~AVX512_ECX;
        d &= ~AVX512_AMX_EDX;
    } else if (leaf == 7 && subleaf == 1) {
        a &= ~SUBLEAF_1_EAX;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0) {
        perror("avx2_only: the processor cannot fault on CPUID");
        exit(1);
    }
}
