# The emulated host has AMD's virtualisation, and KVM makes a machine of it.
want test -c /dev/kvm
want grep -qwE 'vmx|svm' /proc/cpuinfo
want grep -qE '^kvm_(amd|intel) ' /proc/modules
