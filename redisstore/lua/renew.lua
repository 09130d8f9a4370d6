-- Makes a lease end later, void or not: ARGV = grant, ms from now. Returns {1, 0}, or {0, 0} if it is lost.
if not live or lease ~= ARGV[1] then return {0, 0} end
local ends = now + tonumber(ARGV[2])
if ends > deadline then
  deadline = ends
  save()
end
return {1, 0}
