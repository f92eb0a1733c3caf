# SPDX-License-Identifier: GPL-2.0-or-later
"""
cases: the tools of the table, a row each: a name, the family that has to be found ("" is nothing of medium or above),
the command, and what is counted as its probes. In commands: {net} and {dark} are /24s of the case's own where every
address and where none answers, {on} and {off} an address of each, {gateway} and {mac} the guest's router's, {link} the
guest's own network, {work} a folder, {peer} the peers' generator.

`slow`: begun first, and left to itself; `long`: only with --long;
`world`: what has to run in the world for it; `after`: what is run in the guest when the tool is up, which then is ended.
"""

TCP, UDP, ICMP, ARP, ANY = "tcp", "udp", "icmp or icmp6", "arp", "ip or ip6"


def row(name, family, command, probes=ANY, **more):
    return {"name": name, "family": family, "command": command, "probes": probes, **more}


NMAP = "nmap -n -Pn --max-retries 1"
CASES = [
    row("nmap -T0", "scan", f"{NMAP} -sS -T0 -p 20-35 {{on}}", TCP, slow=True, long=True),
    row("nmap -T1", "scan", f"{NMAP} -sS -T1 -p 20-41 {{on}}", TCP, slow=True),
    row("nmap -sU", "scan", f"{NMAP} -sU --top-ports 100 {{on}}", UDP, slow=True),
    row("nmap -sU dark", "scan", f"{NMAP} -sU --top-ports 100 {{off}}", UDP, slow=True),
    row("nmap -sO", "scan", f"{NMAP} -sO --max-rtt-timeout 300ms {{on}}", ANY, slow=True),
    row("nmap -T2", "scan", f"{NMAP} -sS -T2 -p 20-70 {{on}}", TCP, slow=True),
    row("nmap -T3", "scan", f"{NMAP} -sS -T3 {{on}}", TCP),
    row("nmap -T4", "scan", f"{NMAP} -sS -T4 {{on}}", TCP),
    row("nmap -T5", "scan", f"{NMAP} -sS -T5 {{on}}", TCP),
    row("nmap -sS dark", "scan", f"{NMAP} -sS -p 1-200 {{off}}", TCP),
    row("nmap -sS net", "scan", f"{NMAP} -sS -p 3389 {{net}}", TCP),
    row("nmap -sS dark-net", "scan", f"{NMAP} -sS -p 445 {{dark}}", TCP),
    row("nmap block", "scan", f"{NMAP} -sS -p 8000-8005 {{net}}", TCP),
    row("nmap -sT", "scan", f"{NMAP} -sT {{on}}", TCP),
    row("nmap -sN", "scan", f"{NMAP} -sN -p 1-100 {{on}}", TCP),
    row("nmap -sF", "scan", f"{NMAP} -sF -p 1-100 {{on}}", TCP),
    row("nmap -sX", "scan", f"{NMAP} -sX -p 1-100 {{on}}", TCP),
    row("nmap -sA", "scan", f"{NMAP} -sA -p 1-100 {{on}}", TCP),
    row("nmap -sW", "scan", f"{NMAP} -sW -p 1-100 {{on}}", TCP),
    row("nmap -sM", "scan", f"{NMAP} -sM -p 1-100 {{on}}", TCP),
    row("nmap SYN+FIN", "scan", f"{NMAP} -sS --scanflags SYNFIN -p 1-100 {{on}}", TCP),
    row("nmap -sY", "scan", f"{NMAP} -sY -p 1-100 {{on}}", "sctp"),
    row("nmap -f", "scan", f"{NMAP} -sS -f -p 1-100 {{on}}", ANY),
    row("nmap -6", "scan", f"{NMAP} -6 -sS -p 1-100 fd18::77", TCP),
    row("nmap -sn", "scan", "nmap -n -sn -PE {net}", ICMP),
    row("nmap -sn dark", "scan", "nmap -n -sn -PE {dark}", ICMP),
    row("nmap -PR", "scan", "nmap -n -sn -PR {link}", ARP),
    row("nmap -sV", "scan", f"{NMAP} -sV --top-ports 100 {{on}}", TCP),
    row("nmap -sV one", "scan", f"{NMAP} -sV -p 51413 {{on}}", TCP),
    row("nmap -O", "scan", f"{NMAP} -O -p 20-120 {{on}}", ANY),
    row("nmap -D", "scan", f"{NMAP} -sS -D 203.0.113.1,203.0.113.2,ME,203.0.113.4 -p 1-100 {{on}}", TCP),
    row("masscan", "scan", "masscan {net} -p 8080 --rate 1000 --wait 2 --adapter-ip {ip} --router-mac {mac} -e eth0", TCP),
    row("masscan ports", "scan", "masscan {on} -p 1-1000 --rate 1000 --wait 2 --adapter-ip {ip} --router-mac {mac} -e eth0",
        TCP),
    row("masscan open", "scan",
        "masscan 198.18.250.7 -p 1-300 --rate 1000 --wait 2 --adapter-ip {ip} --router-mac {mac} -e eth0", TCP),
    row("zmap", "scan", "zmap -q -p 8443 -i eth0 -r 1000 -c 2 -b /dev/null -G {mac} -S {ip} -o {work}/zmap {net}", TCP),
    row("zmap icmp", "scan",
        "zmap -q -M icmp_echoscan -i eth0 -r 1000 -c 2 -b /dev/null -G {mac} -S {ip} -o {work}/zmap {dark}", ICMP),
    row("hping3 scan", "scan", "hping3 --scan 1-200 -S {on}", TCP),
    row("hping3 xmas", "scan", "hping3 -q -FPU -p ++1 -c 60 -i u20000 {on}", TCP),
    row("hping3 udp", "scan", "hping3 -q --udp -p ++1 -c 60 -i u20000 {off}", UDP),
    row("arp-scan", "scan", "arp-scan -q -r 1 -I eth0 {link}", ARP),
    row("iodine", "dns", "iodine -f -r -P secret 198.18.0.53 t.example.org", UDP, after="ping -q -c 100 -i 0.1 -s 500 10.99.0.1"),
    row("iodine TXT", "dns", "iodine -f -r -T TXT -P secret 198.18.0.53 t.example.org", UDP,
        after="ping -q -c 100 -i 0.1 -s 500 10.99.0.1"),
    row("iodine CNAME", "dns", "iodine -f -r -T CNAME -P secret 198.18.0.53 t.example.org", UDP,
        after="ping -q -c 100 -i 0.1 -s 500 10.99.0.1"),
    row("ptunnel", "icmp", "ptunnel -p 10.200.0.2 -lp 8000 -da 198.18.0.80 -dp 80", ICMP,
        after="curl -s -o /dev/null --max-time 30 http://127.0.0.1:8000/large"),
    row("hydra ftp", "brute", "hydra -t 4 -l root -P {work}/words ftp://{on}", TCP),
    row("ncrack ftp", "brute", "ncrack -p 21 --user root -P {work}/words {on}", TCP),
    row("curl", "", "curl -s -o /dev/null http://198.18.0.[80-119]/small", ANY),
    row("apt", "", "apt-get {apt} update", ANY),
    row("git", "", "git clone -q http://198.18.0.80/repository.git {work}/clone", ANY),
    row("torrent", "", "python3 {peer} 30", ANY),
]
