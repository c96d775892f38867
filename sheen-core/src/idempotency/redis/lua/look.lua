-- ARGV[2] fingerprint.
return refusal(load(), ARGV[2]) or { 'free' }
