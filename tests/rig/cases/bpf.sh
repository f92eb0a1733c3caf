# The programs at the taps on the stock kernel: its older verifier takes them, clsact serves where there
# is no tcx, and the records are those of the user-space engine. Nothing of them stays.
# needs: netns
# takes: 20
want env BPF_FLOOD=50000 "$CORDON_TREE/build/tests/unit/bpf_kernel"
want_equal "$(ls /sys/fs/bpf)" ''
