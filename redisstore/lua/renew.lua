-- Makes a lease, revoked or not, end later. It never makes it end earlier.
-- ARGV: the grant; the time in ms from now.
-- Returns {1, 0}, or {0, 0} if the lease is lost.
if not live or lease ~= ARGV[1] then return {0, 0} end
agree()
local ends = now + tonumber(ARGV[2])
if ends > deadline then
  deadline = ends
  save()
end
return {1, 0}
