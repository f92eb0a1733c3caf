/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu_features: every processor feature that a guest may ever see, once. The policy language reads the
 * names of it, the vmm the bits. A bit that is not here reaches no guest, so that a new host kernel or
 * processor adds nothing to what a guest sees until somebody has read what it is. Left out on purpose:
 * SGX, MPX, TSX, AMX, PT, performance counters, resource director, the processor's serial number.
 *
 * X(name, leaf, index, register, bit, class, needs): `class` says which models have it,
 *   BASE      all of them
 *   V2 V3 V4  x86-64-v2, -v3, -v4 (the x86-64 psABI, "Microarchitecture levels", and what every
 *             processor of such a level has beside them), and those above
 *   HOST      `host` where the host has it, and whoever adds it
 *   NESTED    only with `nested: true`
 *   FIXED     decided by the vmm: neither a model nor a policy changes it
 * and `needs` names the feature without which it is of no use. It stands above.
 *
 * Bits: SDM vol. 2A, CPUID; APM vol. 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef CORDON_BASE_CPU_FEATURES_H
#define CORDON_BASE_CPU_FEATURES_H

#define CPU_FEATURES(X)                                                        \
	X("fpu", 0x1, 0, EDX, 0, BASE, "")                                     \
	X("vme", 0x1, 0, EDX, 1, HOST, "")                                     \
	X("de", 0x1, 0, EDX, 2, BASE, "")                                      \
	X("pse", 0x1, 0, EDX, 3, BASE, "")                                     \
	X("tsc", 0x1, 0, EDX, 4, BASE, "")                                     \
	X("msr", 0x1, 0, EDX, 5, BASE, "")                                     \
	X("pae", 0x1, 0, EDX, 6, BASE, "")                                     \
	X("mce", 0x1, 0, EDX, 7, BASE, "")                                     \
	X("cx8", 0x1, 0, EDX, 8, BASE, "")                                     \
	X("apic", 0x1, 0, EDX, 9, BASE, "")                                    \
	X("sep", 0x1, 0, EDX, 11, BASE, "")                                    \
	X("mtrr", 0x1, 0, EDX, 12, BASE, "")                                   \
	X("pge", 0x1, 0, EDX, 13, BASE, "")                                    \
	X("mca", 0x1, 0, EDX, 14, BASE, "")                                    \
	X("cmov", 0x1, 0, EDX, 15, BASE, "")                                   \
	X("pat", 0x1, 0, EDX, 16, BASE, "")                                    \
	X("pse36", 0x1, 0, EDX, 17, BASE, "")                                  \
	X("clflush", 0x1, 0, EDX, 19, BASE, "")                                \
	X("mmx", 0x1, 0, EDX, 23, BASE, "")                                    \
	X("fxsr", 0x1, 0, EDX, 24, BASE, "")                                   \
	X("sse", 0x1, 0, EDX, 25, BASE, "")                                    \
	X("sse2", 0x1, 0, EDX, 26, BASE, "")                                   \
	X("htt", 0x1, 0, EDX, 28, FIXED, "")                                   \
	X("sse3", 0x1, 0, ECX, 0, V2, "")                                      \
	X("pclmulqdq", 0x1, 0, ECX, 1, V3, "")                                 \
	X("ssse3", 0x1, 0, ECX, 9, V2, "")                                     \
	X("cx16", 0x1, 0, ECX, 13, V2, "")                                     \
	X("pcid", 0x1, 0, ECX, 17, HOST, "")                                   \
	X("sse4.1", 0x1, 0, ECX, 19, V2, "")                                   \
	X("sse4.2", 0x1, 0, ECX, 20, V2, "")                                   \
	X("x2apic", 0x1, 0, ECX, 21, FIXED, "")                                \
	X("movbe", 0x1, 0, ECX, 22, V3, "")                                    \
	X("popcnt", 0x1, 0, ECX, 23, V2, "")                                   \
	X("tsc-deadline", 0x1, 0, ECX, 24, FIXED, "")                          \
	X("aes", 0x1, 0, ECX, 25, V3, "")                                      \
	X("xsave", 0x1, 0, ECX, 26, V3, "")                                    \
	X("avx", 0x1, 0, ECX, 28, V3, "xsave")                                 \
	X("fma", 0x1, 0, ECX, 12, V3, "avx")                                   \
	X("f16c", 0x1, 0, ECX, 29, V3, "avx")                                  \
	X("rdrand", 0x1, 0, ECX, 30, V3, "")                                   \
	X("hypervisor", 0x1, 0, ECX, 31, FIXED, "")                            \
	X("arat", 0x6, 0, EAX, 2, BASE, "")                                    \
	X("fsgsbase", 0x7, 0, EBX, 0, V3, "")                                  \
	X("tsc-adjust", 0x7, 0, EBX, 1, BASE, "")                              \
	X("bmi1", 0x7, 0, EBX, 3, V3, "")                                      \
	X("avx2", 0x7, 0, EBX, 5, V3, "avx")                                   \
	X("smep", 0x7, 0, EBX, 7, V3, "")                                      \
	X("bmi2", 0x7, 0, EBX, 8, V3, "")                                      \
	X("erms", 0x7, 0, EBX, 9, HOST, "")                                    \
	X("invpcid", 0x7, 0, EBX, 10, HOST, "pcid")                            \
	X("avx512f", 0x7, 0, EBX, 16, V4, "avx2")                              \
	X("avx512dq", 0x7, 0, EBX, 17, V4, "avx512f")                          \
	X("rdseed", 0x7, 0, EBX, 18, V4, "")                                   \
	X("adx", 0x7, 0, EBX, 19, V4, "")                                      \
	X("smap", 0x7, 0, EBX, 20, V4, "")                                     \
	X("avx512ifma", 0x7, 0, EBX, 21, HOST, "avx512f")                      \
	X("clflushopt", 0x7, 0, EBX, 23, V4, "")                               \
	X("clwb", 0x7, 0, EBX, 24, HOST, "")                                   \
	X("avx512cd", 0x7, 0, EBX, 28, V4, "avx512f")                          \
	X("sha-ni", 0x7, 0, EBX, 29, HOST, "")                                 \
	X("avx512bw", 0x7, 0, EBX, 30, V4, "avx512f")                          \
	X("avx512vl", 0x7, 0, EBX, 31, V4, "avx512f")                          \
	X("avx512vbmi", 0x7, 0, ECX, 1, HOST, "avx512bw")                      \
	X("umip", 0x7, 0, ECX, 2, HOST, "")                                    \
	X("pku", 0x7, 0, ECX, 3, HOST, "xsave")                                \
	X("avx512vbmi2", 0x7, 0, ECX, 6, HOST, "avx512bw")                     \
	X("gfni", 0x7, 0, ECX, 8, HOST, "")                                    \
	X("vaes", 0x7, 0, ECX, 9, HOST, "avx")                                 \
	X("vpclmulqdq", 0x7, 0, ECX, 10, HOST, "avx")                          \
	X("avx512vnni", 0x7, 0, ECX, 11, HOST, "avx512f")                      \
	X("avx512bitalg", 0x7, 0, ECX, 12, HOST, "avx512bw")                   \
	X("avx512vpopcntdq", 0x7, 0, ECX, 14, HOST, "avx512f")                 \
	X("rdpid", 0x7, 0, ECX, 22, HOST, "")                                  \
	X("movdiri", 0x7, 0, ECX, 27, HOST, "")                                \
	X("movdir64b", 0x7, 0, ECX, 28, HOST, "")                              \
	X("fsrm", 0x7, 0, EDX, 4, HOST, "")                                    \
	X("md-clear", 0x7, 0, EDX, 10, HOST, "")                               \
	X("serialize", 0x7, 0, EDX, 14, HOST, "")                              \
	X("avx512fp16", 0x7, 0, EDX, 23, HOST, "avx512bw")                     \
	X("spec-ctrl", 0x7, 0, EDX, 26, HOST, "")                              \
	X("stibp", 0x7, 0, EDX, 27, HOST, "")                                  \
	X("flush-l1d", 0x7, 0, EDX, 28, HOST, "")                              \
	X("arch-capabilities", 0x7, 0, EDX, 29, HOST, "")                      \
	X("ssbd", 0x7, 0, EDX, 31, HOST, "")                                   \
	X("avx-vnni", 0x7, 1, EAX, 4, HOST, "avx2")                            \
	X("avx512bf16", 0x7, 1, EAX, 5, HOST, "avx512bw")                      \
	X("fzrm", 0x7, 1, EAX, 10, HOST, "")                                   \
	X("fsrs", 0x7, 1, EAX, 11, HOST, "")                                   \
	X("fsrc", 0x7, 1, EAX, 12, HOST, "")                                   \
	X("psfd", 0x7, 2, EDX, 0, HOST, "")                                    \
	X("ipred-ctrl", 0x7, 2, EDX, 1, HOST, "")                              \
	X("rrsba-ctrl", 0x7, 2, EDX, 2, HOST, "")                              \
	X("ddpd-u", 0x7, 2, EDX, 3, HOST, "")                                  \
	X("bhi-ctrl", 0x7, 2, EDX, 4, HOST, "")                                \
	X("mcdt-no", 0x7, 2, EDX, 5, HOST, "")                                 \
	X("xsaveopt", 0xd, 1, EAX, 0, V3, "xsave")                             \
	X("xsavec", 0xd, 1, EAX, 1, HOST, "xsave")                             \
	X("xgetbv1", 0xd, 1, EAX, 2, HOST, "xsave")                            \
	X("xsaves", 0xd, 1, EAX, 3, HOST, "xsavec")                            \
	X("lahf-lm", 0x80000001, 0, ECX, 0, V2, "")                            \
	X("cmp-legacy", 0x80000001, 0, ECX, 1, FIXED, "")                      \
	X("cr8-legacy", 0x80000001, 0, ECX, 4, HOST, "")                       \
	X("lzcnt", 0x80000001, 0, ECX, 5, V3, "")                              \
	X("sse4a", 0x80000001, 0, ECX, 6, HOST, "")                            \
	X("misalignsse", 0x80000001, 0, ECX, 7, HOST, "")                      \
	X("3dnowprefetch", 0x80000001, 0, ECX, 8, HOST, "")                    \
	X("xop", 0x80000001, 0, ECX, 11, HOST, "avx")                          \
	X("fma4", 0x80000001, 0, ECX, 16, HOST, "avx")                         \
	X("tbm", 0x80000001, 0, ECX, 21, HOST, "")                             \
	X("topoext", 0x80000001, 0, ECX, 22, FIXED, "")                        \
	X("syscall", 0x80000001, 0, EDX, 11, BASE, "")                         \
	X("nx", 0x80000001, 0, EDX, 20, BASE, "")                              \
	X("mmxext", 0x80000001, 0, EDX, 22, HOST, "")                          \
	X("fxsr-opt", 0x80000001, 0, EDX, 25, HOST, "")                        \
	X("pdpe1gb", 0x80000001, 0, EDX, 26, HOST, "")                         \
	X("rdtscp", 0x80000001, 0, EDX, 27, V3, "")                            \
	X("lm", 0x80000001, 0, EDX, 29, BASE, "")                              \
	X("invtsc", 0x80000007, 0, EDX, 8, HOST, "")                           \
	X("clzero", 0x80000008, 0, EBX, 0, HOST, "")                           \
	X("xsaveerptr", 0x80000008, 0, EBX, 2, HOST, "xsave")                  \
	X("wbnoinvd", 0x80000008, 0, EBX, 9, HOST, "")                         \
	X("amd-ibpb", 0x80000008, 0, EBX, 12, HOST, "")                        \
	X("amd-ibrs", 0x80000008, 0, EBX, 14, HOST, "")                        \
	X("amd-stibp", 0x80000008, 0, EBX, 15, HOST, "")                       \
	X("amd-ssbd", 0x80000008, 0, EBX, 24, HOST, "")                        \
	X("amd-ssb-no", 0x80000008, 0, EBX, 26, HOST, "")                      \
	X("lfence-serializing", 0x80000021, 0, EAX, 2, HOST, "")               \
	X("null-sel-clears-base", 0x80000021, 0, EAX, 6, HOST, "")             \
	X("auto-ibrs", 0x80000021, 0, EAX, 8, HOST, "")                        \
	X("vmx", 0x1, 0, ECX, 5, NESTED, "")                                   \
	X("svm", 0x80000001, 0, ECX, 2, NESTED, "")                            \
	X("kvm-clock-old", 0x40000001, 0, EAX, 0, BASE, "")                    \
	X("kvm-no-io-delay", 0x40000001, 0, EAX, 1, BASE, "")                  \
	X("kvm-clock", 0x40000001, 0, EAX, 3, BASE, "")                        \
	X("kvm-async-pf", 0x40000001, 0, EAX, 4, BASE, "")                     \
	X("kvm-steal-time", 0x40000001, 0, EAX, 5, BASE, "")                   \
	X("kvm-eoi", 0x40000001, 0, EAX, 6, BASE, "")                          \
	X("kvm-unhalt", 0x40000001, 0, EAX, 7, BASE, "")                       \
	X("kvm-tlb-flush", 0x40000001, 0, EAX, 9, BASE, "")                    \
	X("kvm-async-pf-vmexit", 0x40000001, 0, EAX, 10, BASE, "kvm-async-pf") \
	X("kvm-send-ipi", 0x40000001, 0, EAX, 11, BASE, "")                    \
	X("kvm-poll-control", 0x40000001, 0, EAX, 12, BASE, "")                \
	X("kvm-sched-yield", 0x40000001, 0, EAX, 13, BASE, "")                 \
	X("kvm-async-pf-int", 0x40000001, 0, EAX, 14, BASE, "kvm-async-pf")    \
	X("kvm-clock-stable", 0x40000001, 0, EAX, 24, BASE, "kvm-clock")

/* Room for a bit of each; a table that grew past it does not compile. */
#define CPU_FEATURES_ONE(name, leaf, index, reg, bit, class, needs) +1
enum {
	CPU_FEATURES_COUNT = 0 CPU_FEATURES(CPU_FEATURES_ONE),
	CPU_FEATURES_MAX = 192,
	CPU_FEATURES_WORDS = CPU_FEATURES_MAX / 64,
};
_Static_assert(CPU_FEATURES_COUNT <= CPU_FEATURES_MAX, "raise CPU_FEATURES_MAX");

#endif
