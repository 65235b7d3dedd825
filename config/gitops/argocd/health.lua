-- What Argo CD says of a StreamPipeline or a StreamWindow. Only what the operator wrote is read:
--   not seen yet, or seen before the newest change of the spec    Progressing
--   Stalled=True: somebody has to act                             Degraded
--   Ready=True                                                    Healthy, or Suspended as the spec asks
--   anything else goes on by itself                               Progressing, with the reason
local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function says(health, condition)
  return { status = health, message = condition.reason .. ": " .. (condition.message or "") }
end

if found.Ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not judged the newest spec yet" }
end
if found.Stalled ~= nil and found.Stalled.status == "True" then
  return says("Degraded", found.Stalled)
end
if found.Ready.status ~= "True" then
  return says("Progressing", found.Ready)
end
if found.Ready.reason == "Suspended" then
  return says("Suspended", found.Ready)
end
return says("Healthy", found.Ready)
