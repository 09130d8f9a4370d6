-- Stores the result of a lease and ends that: ARGV = grant, channel, life in ms or 0, '1' for a mark, 64 blank bytes and
-- payload, the producer of the record that this one continues.
-- Returns {1, wake} if it is stored, now or by an earlier copy of this command; else {0, wake}.
local id = ARGV[1]
if lease == id then
  local woken = wake(ARGV[2])
  local continues = ARGV[6] ~= ''
  if void or continues and not (there and producer == ARGV[6]) then
    leave()
    return {0, woken}
  end
  store(id, ARGV[3], ARGV[4] == '1', ARGV[5], continues and dies)
  return {1, woken}
end
return {there and producer == id and 1 or 0, 0}
