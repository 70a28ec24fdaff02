%% What the app itself knows of its past, for whoever wants to check what an upgrade did to it
%% without asking the tool that did it. Kept in persistent terms: they survive every change of code
%% and are erased by every start of the VM, `init:restart/0` included.
-module(shop_witness).
-export([begin_life/0, code_changed/1, drowse/1, testimony/0, code/0]).

-define(KEY, ?MODULE).
-define(UP, 1).
-define(DOWN, 2).

begin_life() ->
    case persistent_term:get(?KEY, undefined) of
        undefined ->
            Seed = {erlang:system_time(), erlang:monotonic_time(), make_ref(), os:getpid()},
            Life = #{boot => hex(erlang:md5(term_to_binary(Seed))),
                     started_ms => erlang:system_time(millisecond),
                     code_changes => counters:new(2, [])},
            persistent_term:put(?KEY, Life);
        _SameLife ->
            ok
    end.

%% A test may have asked for a migration that takes its time.
code_changed(Direction) ->
    timer:sleep(persistent_term:get({?MODULE, drowsy}, 0)),
    counters:add(code_changes(), case Direction of up -> ?UP; down -> ?DOWN end, 1).

drowse(Ms) -> persistent_term:put({?MODULE, drowsy}, Ms).

testimony() ->
    #{boot := Boot, started_ms := Started, code_changes := Changes} = persistent_term:get(?KEY),
    #{boot => Boot,
      os_pid => list_to_integer(os:getpid()),
      vm_started_ms => Started,
      code_changes_up => counters:get(Changes, ?UP),
      code_changes_down => counters:get(Changes, ?DOWN)}.

%% What is loaded, set and booted, each in one word, and what the release handler believes.
code() ->
    Modules = [{Module, erlang:get_module_info(Module, md5)}
               || {Module, _File} <- code:all_loaded(), lists:prefix("shop", atom_to_list(Module))],
    {_Name, Booted} = init:script_id(),
    #{modules => digest(lists:sort(Modules)),
      environment => digest(lists:sort(application:get_all_env(shop))),
      booted => Booted,
      permanent => known(permanent),
      current => known(current)}.

digest(Term) ->
    hex(erlang:md5(term_to_binary(Term))).

known(Status) ->
    lists:join(" ", [Version || {_, Version, _, Found} <- release_handler:which_releases(), Found =:= Status]).

code_changes() ->
    maps:get(code_changes, persistent_term:get(?KEY)).

hex(Binary) ->
    << <<(hex_digit(N))>> || <<N:4>> <= Binary >>.

hex_digit(N) when N < 10 -> $0 + N;
hex_digit(N) -> $a + N - 10.
