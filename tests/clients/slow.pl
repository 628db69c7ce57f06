#!/usr/bin/perl
# An HTTP server that thinks for a while, for the tour: answers POST with {"draft":"…"} about what it was sent, after 0.5 to 1.5 seconds. It
# writes its port to standard output. Perl, since every Debian has it.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "slow.pl: $!\n";
print $server->sockport, "\n";
while (my $client = $server->accept) {
	next if fork;
	my ($line, $bytes) = ('', 0);
	while (defined($line = <$client>) && $line ne "\r\n") {
		$bytes = $1 if $line =~ /^content-length:\s*(\d+)/i;
	}
	read $client, (my $body = ""), $bytes;
	my ($topic) = $body =~ /"topic":\s*"([^"\\]*)"/;
	select undef, undef, undef, 0.5 + rand;
	my $answer = sprintf '{"draft":"%d words on %s"}', 100 + rand 900, $topic // 'nothing';
	printf $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", length $answer, $answer;
	exit;
}
