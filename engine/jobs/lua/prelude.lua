-- Stands before every script: names of keys and fields, the guard, and what changes a job's record.
--
-- KEYS are passed whole by the caller and share one hash tag:
--   1 meta      hash: epoch of the queue's owner, number of writes so far
--   2 live      hash: job id -> its record (MessagePack array, fields below), unfinished jobs only
--   3 spec      hash: job id -> the request, opaque here
--   4 final     hash: job id -> its final record (MessagePack array), until it expires
--   5 expiry    zset: job id -> when its final record is forgotten
--   6 dead      zset: job id -> since when it is a dead letter
--   7 delayed   zset: job id -> when it becomes ready
--   8 leased    zset: job id -> when its lease was last confirmed
--   9 held      zset: slot NUL job id, all of score 0: the leases of a slot by range
--  10 reserved  zset: slot NUL job id, likewise: what goes back to that slot alone
--  11 counts    hash: state ":" pool -> number of jobs
--  12.. ready   zset of each pool named by the call: job id -> place (priority, then order)
-- Times come from the caller: the engine's own clock, which no step of the machine's clock moves.

local META, LIVE, SPEC, FINAL, EXPIRY, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local DELAYED, LEASED, HELD, RESERVED, COUNTS = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local FIRST_POOL_KEY = 12

-- Fields of a live record. `due` is when a delayed job becomes ready, `since` when its state began.
local STATE, RUN, ATTEMPT, FAILURES, POOL, PLACE, TOKEN, SLOT, DUE, SINCE =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10
-- A final record's: state, run, attempt, failures, pool, body (opaque), since.
local FINAL_STATE, FINAL_RUN, FINAL_POOL = 1, 2, 5

local function call(...)
  return redis.call(...)
end

-- A call carries the epoch its owner was given and the number of writes it has seen confirmed. A
-- server that was emptied, or taken over, has another epoch; one that lost its last writes (a
-- failover, a crash between two syncs to disk) counts fewer. Nothing is done on either.
local writes = 0

local function guard(epoch, writes_seen)
  local found = call('HMGET', META, 'epoch', 'writes')
  writes = tonumber(found[2] or 0)
  if found[1] ~= epoch or writes < tonumber(writes_seen) then
    return { err = 'QUEUELOST the queue was emptied, set back or taken over' }
  end
  return nil
end

-- Answers carry the number of writes, by which the caller also tells which of two is the later.
local function note_write()
  writes = call('HINCRBY', META, 'writes', 1)
  return writes
end

-- Pools of this call: name -> key of its ready set.
local function read_pools(first_argument)
  local key_of = {}
  for index = FIRST_POOL_KEY, #KEYS do
    key_of[ARGV[first_argument + index - FIRST_POOL_KEY]] = KEYS[index]
  end
  return key_of
end

local function ready_counts()
  local counts = {}
  for index = FIRST_POOL_KEY, #KEYS do
    counts[#counts + 1] = call('ZCARD', KEYS[index])
  end
  return counts
end

-- When the next delayed job is due, as a string; false if there is none.
local function next_due()
  return call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')[2] or false
end

local function in_slot(slot, id)
  return slot .. '\0' .. id
end

-- Ids of a slot's members in one of the two sets that are ordered by slot.
local function members_of(set, slot, most)
  local prefix = in_slot(slot, '')
  local found
  if most then
    found = call('ZRANGEBYLEX', set, '[' .. prefix, '(' .. slot .. '\1', 'LIMIT', 0, most)
  else
    found = call('ZRANGEBYLEX', set, '[' .. prefix, '(' .. slot .. '\1')
  end
  for index = 1, #found do
    found[index] = string.sub(found[index], #prefix + 1)
  end
  return found
end

local deltas = {}

local function count(state, pool, by)
  local field = state .. ':' .. pool
  deltas[field] = (deltas[field] or 0) + by
end

local function write_counts()
  for field, by in pairs(deltas) do
    if by ~= 0 then
      call('HINCRBY', COUNTS, field, by)
    end
  end
end

local function read_live(id)
  local packed = call('HGET', LIVE, id)
  return packed and cmsgpack.unpack(packed)
end

local function read_final(id)
  local packed = call('HGET', FINAL, id)
  return packed and cmsgpack.unpack(packed)
end

-- Take a live job out of the set its state keeps it in.
local function detach(id, job, key_of)
  local state = job[STATE]
  count(state, job[POOL], -1)
  if state == 'ready' then
    call('ZREM', key_of[job[POOL]], id)
  elseif state == 'delayed' then
    call('ZREM', DELAYED, id)
  elseif state == 'leased' then
    call('ZREM', LEASED, id)
    call('ZREM', HELD, in_slot(job[SLOT], id))
  else
    call('ZREM', RESERVED, in_slot(job[SLOT], id))
  end
end

-- Put a live job into the set of its state and keep its record.
local function attach(id, job, key_of, now)
  local state = job[STATE]
  count(state, job[POOL], 1)
  job[SINCE] = now
  if state == 'ready' then
    call('ZADD', key_of[job[POOL]], job[PLACE], id)
  elseif state == 'delayed' then
    call('ZADD', DELAYED, job[DUE], id)
  elseif state == 'leased' then
    call('ZADD', LEASED, now, id)
    call('ZADD', HELD, 0, in_slot(job[SLOT], id))
  else
    call('ZADD', RESERVED, 0, in_slot(job[SLOT], id))
  end
  call('HSET', LIVE, id, cmsgpack.pack(job))
end

local function drop_final(id, final)
  if final[FINAL_STATE] == 'DEAD' then
    count('dead', final[FINAL_POOL], -1)
    call('ZREM', DEAD, id)
  end
  call('HDEL', FINAL, id)
  call('ZREM', EXPIRY, id)
end
