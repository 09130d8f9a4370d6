-- Stores the result of a lease and ends the lease.
-- ARGV: the grant; PUBLISH or SPUBLISH; the time to live in ms, or 0 for ever; '1' for a tombstone; 64
-- blank bytes and the data; the Version of the record that this one continues, or ''.
-- Returns {1, wake} if this command or an earlier copy of it has stored the record, else {0, wake}.
local id = ARGV[1]
if lease == id then
  local woken = wake(ARGV[2])
  local continues = ARGV[6] ~= ''
  if continues then agree() end
  if revoked or continues and not (present and producer == ARGV[6]) then
    endLease()
    return {0, woken}
  end
  store(id, ARGV[3], ARGV[4] == '1', ARGV[5], continues and dies)
  return {1, woken}
end
return {present and producer == id and 1 or 0, 0}
