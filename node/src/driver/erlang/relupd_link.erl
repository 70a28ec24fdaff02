%% The VM's end of the link between an app and relupd's daemon.
%%
%% The VM dials: it connects to the daemon's Unix socket, says who it is, and answers requests until
%% the connection ends; then it dials again, for ever. Needs no distribution, no cookie and nothing
%% of the release but kernel, stdlib and, for upgrades, sasl. Written for OTP 21 and later.
%%
%% Two processes, linked to nothing, so that neither can take the app down:
%%   - the keeper holds what must outlive a connection: the boot nonce, new in every life of the VM,
%%     the book of operations, and which install has begun and not succeeded;
%%   - the dialler owns the connection and is started again whenever it ends, for whatever reason.
%%
%% Frames have a length of four bytes in front and hold one external term:
%%   VM -> daemon   {hello, ?PROTOCOL, Facts}
%%   daemon -> VM   {request, Number, Request}
%%   VM -> daemon   {reply, Number, {ok, Answer} | {error, Text}}
%% Reasons cross as printed text of bounded depth: a crash reason may hold the whole state of a process.
%% Requests are carried out side by side: one that waits for the release handler holds up nobody.
%%
%% While an install runs, a meter traces what the release handler asks of processes: see below.
-module(relupd_link).
-export([start/1]).
-export([keeper/2, dialler/3, meter/2]).

-define(PROTOCOL, 1).
-define(FIRST_PAUSE_MS, 50).
-define(LONGEST_PAUSE_MS, 1000).
%% After a connection ended: short, because the daemon may just have restarted, but not so short
%% that a daemon that turns us away is kept busy.
-define(AGAIN_PAUSE_MS, 200).
%% Finished operations that are remembered. A daemon asks for the result of its latest one only.
-define(REMEMBERED, 64).
%% Suspended processes whose queues are looked at, and names that are listed.
-define(SAMPLED, 100).
-define(LISTED, 20).

%% Starts the link once; a second call changes nothing.
start(SocketPath) ->
    case whereis(?MODULE) of
        undefined ->
            Starter = self(),
            Keeper = spawn(?MODULE, keeper, [Starter, SocketPath]),
            receive {Keeper, started} -> ok after 5000 -> {error, timeout} end;
        _Running ->
            ok
    end.

%% ---- keeper: boot nonce and operations

keeper(Starter, SocketPath) ->
    true = register(?MODULE, self()),
    process_flag(priority, high),
    Starter ! {self(), started},
    Nonce = boot_nonce(),
    keep(#{path => SocketPath, nonce => Nonce, operations => #{}, finished => [], readings => #{},
           unfinished => none, dialler => spawn_dialler(SocketPath, Nonce, 0)}).

keep(State = #{path := Path, nonce := Nonce, dialler := Dialler}) ->
    receive
        {run, Operation, Fun, Client} ->
            keep(run(Operation, Fun, Client, State));
        {result, Operation, Client} ->
            tell(Client, result(Operation, State)),
            keep(State);
        {measured, Operation, Reading} ->
            #{readings := Readings} = State,
            keep(State#{readings := Readings#{Operation => Reading}});
        {reading, Operation, Client} ->
            tell(Client, {ok, maps:get(Operation, maps:get(readings, State), unknown)}),
            keep(State);
        {unfinished, Version} ->
            keep(State#{unfinished := Version});
        {tell_unfinished, Client} ->
            tell(Client, maps:get(unfinished, State)),
            keep(State);
        {finished, Operation, Result} ->
            keep(finish(Operation, Result, State));
        {'DOWN', _Monitor, process, Dialler, _ConnectionEnded} ->
            keep(State#{dialler := spawn_dialler(Path, Nonce, ?AGAIN_PAUSE_MS)});
        {'DOWN', _Monitor, process, Worker, Reason} ->
            keep(worker_down(Worker, Reason, State));
        _Stray ->
            keep(State)
    end.

%% An operation runs once under its id; whoever asks for it again gets the same result.
run(Operation, Fun, Client, State = #{operations := Operations}) ->
    case Operations of
        #{Operation := {running, Worker, Clients}} ->
            State#{operations := Operations#{Operation := {running, Worker, [Client | Clients]}}};
        #{Operation := {done, Result}} ->
            tell(Client, Result),
            State;
        #{} ->
            Keeper = self(),
            {Worker, _Monitor} = spawn_monitor(fun() -> Keeper ! {finished, Operation, guarded(Fun)} end),
            State#{operations := Operations#{Operation => {running, Worker, [Client]}}}
    end.

finish(Operation, Result, State = #{operations := Operations, finished := Finished, readings := Readings}) ->
    case Operations of
        #{Operation := {running, _Worker, Clients}} ->
            [tell(Client, Result) || Client <- Clients],
            {Kept, Forgotten} = lists:split(min(?REMEMBERED, length(Finished) + 1), [Operation | Finished]),
            State#{operations := maps:without(Forgotten, Operations#{Operation := {done, Result}}),
                   readings := maps:without(Forgotten, Readings),
                   finished := Kept};
        #{} ->
            State
    end.

%% A worker tells its result before it ends; one that ends without was killed.
worker_down(Worker, Reason, State = #{operations := Operations}) ->
    case [Operation || {Operation, {running, Pid, _}} <- maps:to_list(Operations), Pid =:= Worker] of
        [Operation] -> finish(Operation, {error, printed({killed, Reason})}, State);
        [] -> State
    end.

result(Operation, #{operations := Operations}) ->
    case Operations of
        #{Operation := {done, _Result}} -> {ok, done};
        #{Operation := {running, _, _}} -> {ok, running};
        #{} -> {ok, unknown}
    end.

tell({Dialler, Number}, Result) ->
    Dialler ! {reply, Number, Result}.

%% Different in every life of the VM, also after init:restart/0, which keeps pid and start time.
boot_nonce() ->
    Seed = {erlang:system_time(), erlang:monotonic_time(), make_ref(), os:getpid(), os:timestamp()},
    << <<(hex_digit(N))>> || <<N:4>> <= erlang:md5(term_to_binary(Seed)) >>.

hex_digit(N) when N < 10 -> $0 + N;
hex_digit(N) -> $a + N - 10.

%% ---- dialler: one connection

spawn_dialler(Path, Nonce, Delay) ->
    {Dialler, _Monitor} = spawn_monitor(?MODULE, dialler, [Path, Nonce, Delay]),
    Dialler.

dialler(Path, Nonce, Delay) ->
    timer:sleep(Delay),
    dial(Path, Nonce, ?FIRST_PAUSE_MS).

dial(Path, Nonce, Pause) ->
    case gen_tcp:connect({local, Path}, 0, [binary, {packet, 4}, {active, false}, {send_timeout, 10000}], 5000) of
        {ok, Socket} ->
            ok = send(Socket, {hello, ?PROTOCOL, facts(Nonce)}),
            ok = inet:setopts(Socket, [{active, true}]),
            serve(Socket, Nonce);
        {error, _NobodyThere} ->
            timer:sleep(Pause),
            dial(Path, Nonce, min(2 * Pause, ?LONGEST_PAUSE_MS))
    end.

serve(Socket, Nonce) ->
    receive
        {tcp, Socket, Frame} ->
            {request, Number, Request} = binary_to_term(Frame),
            request(Request, {self(), Number}, Nonce),
            serve(Socket, Nonce);
        {reply, Number, Result} ->
            ok = send(Socket, {reply, Number, Result}),
            serve(Socket, Nonce);
        {tcp_closed, Socket} ->
            ok;
        {tcp_error, Socket, _Reason} ->
            ok;
        _Stray ->
            serve(Socket, Nonce)
    end.

send(Socket, Term) ->
    gen_tcp:send(Socket, term_to_binary(Term)).

%% ---- requests

request({run, Operation, Work}, Client, _Nonce) ->
    ?MODULE ! {run, Operation, fun() -> work(Operation, Work) end, Client};
request({measured, Operation}, Client, _Nonce) ->
    ?MODULE ! {reading, Operation, Client};
request({result, Operation}, Client, _Nonce) ->
    ?MODULE ! {result, Operation, Client};
request(facts, Client, Nonce) ->
    aside(Client, fun() -> facts(Nonce) end);
request(Query, Client, _Nonce) ->
    aside(Client, fun() -> query(Query) end).

aside(Client, Fun) ->
    spawn(fun() -> tell(Client, guarded(Fun)) end).

guarded(Fun) ->
    try {ok, Fun()}
    catch
        throw:Reason -> {error, printed(Reason)};
        Class:Reason -> {error, printed({Class, Reason})}
    end.

%% Work is what must not happen twice; it is run under an operation's id.
work(Operation, {install, Version, Options}) ->
    Before = whole_environment(),
    ?MODULE ! {unfinished, unicode:characters_to_binary(Version)},
    Meter = start_meter(),
    Answer = release_handler:install_release(Version, Options),
    ?MODULE ! {measured, Operation, stop_meter(Meter)},
    case Answer of
        {ok, From, _Description} ->
            ?MODULE ! {unfinished, none},
            From;
        Other ->
            %% It may have failed before it changed anything.
            [?MODULE ! {unfinished, none} || whole_environment() =:= Before],
            throw(Other)
    end.

%% Every parameter of every loaded application; kept as a digest, for it may hold secrets.
whole_environment() ->
    erlang:md5(term_to_binary([{Application, Version, lists:sort(application:get_all_env(Application))}
                               || {Application, _, Version} <- lists:sort(application:loaded_applications())])).

%% The rest changes nothing, or leads to the same state however often it is asked for.
%% Without sasl there is no handler, and nothing that it could believe.
query(releases) ->
    case has_sasl() of
        true -> release_handler:which_releases();
        false -> []
    end;
query({check_install, Version}) ->
    case release_handler:check_install_release(Version) of
        {ok, From, _Description} -> From;
        Other -> throw(Other)
    end;
query({loaded, Modules}) ->
    [{Module, loaded_md5(Module), erlang:check_old_code(Module)} || Module <- Modules];
query({beams, Directory}) ->
    {ok, Names} = file:list_dir(Directory),
    [beam(filename:join(Directory, Name)) || Name <- lists:sort(Names), filename:extension(Name) =:= ".beam"];
query({environment, Application}) ->
    [{Key, erlang:phash2(Value)} || {Key, Value} <- lists:sort(application:get_all_env(Application))];
query({purge_softly, Modules}) ->
    [Module || Module <- Modules, erlang:check_old_code(Module), not code:soft_purge(Module)];
query({purge_brutally, Modules}) ->
    [Module || Module <- Modules, code:purge(Module)];
query({make_permanent, Boot, Config}) ->
    %% Elixir completes the configuration again at init:restart/0, and finds it by these.
    true = os:putenv("RELEASE_SYS_CONFIG", Config),
    true = os:putenv("RELEASE_VSN", filename:basename(filename:dirname(Config))),
    init:make_permanent(Boot, Config);
query(reload_handler) ->
    case has_sasl() of
        true ->
            %% The handler reads RELEASES when it starts. Killing it instead would take sasl down.
            ok = supervisor:terminate_child(sasl_sup, release_handler),
            {ok, _Pid} = supervisor:restart_child(sasl_sup, release_handler),
            ok;
        false ->
            ok
    end;
query(process_environment) ->
    [unicode:characters_to_binary(Variable) || Variable <- os:getenv()];
query({in_old_code, Modules}) ->
    in_old_code(Modules);
query({environment_faults, Config, Other}) ->
    [Fault || Fault = {_Application, _Key, Kind} <- environment_faults(Config, Other), Kind =/= left];
query({foreign_parameters, Config, Other}) ->
    environment_faults(Config, Other);
query({unanswering, Modules, Patience}) ->
    unanswering(Modules, Patience).

has_sasl() ->
    lists:keymember(sasl, 1, application:which_applications()).

%% Processes that run old code of these modules: the next load of the module kills them.
in_old_code(Modules) ->
    Old = [Module || Module <- Modules, erlang:check_old_code(Module)],
    [{printed(named(Pid)), printed(Module)}
     || Module <- Old, Pid <- erlang:processes(), erlang:check_process_code(Pid, Module) =:= true].

named(Pid) ->
    case erlang:process_info(Pid, registered_name) of
        {registered_name, Name} -> {Pid, Name};
        _NoNameOrGone -> Pid
    end.

%% Parameters that the configuration file names and that the loaded application does not have, or has as
%% the file of the other version says, and those of the other version alone. Any other value is the
%% application's own doing.
environment_faults(Config, Other) ->
    Expected = parameters(Config),
    Foreign = case Other of none -> #{}; _ -> parameters(Other) end,
    Loaded = [Application || {Application, _, _} <- application:loaded_applications()],
    [{printed(Application), printed(Key), Fault}
     || {Application, Key} = Parameter <- lists:usort(maps:keys(Expected) ++ maps:keys(Foreign)),
        %% What tells Elixir to complete the configuration while it boots is taken away by that.
        Application =/= elixir,
        lists:member(Application, Loaded),
        Fault <- fault(application:get_env(Application, Key), maps:find(Parameter, Expected),
                       maps:find(Parameter, Foreign))].

fault(Value, Value, _Foreign) -> [];
fault(undefined, {ok, _Expected}, _Foreign) -> [absent];
fault(undefined, error, _Foreign) -> [];
fault(Value, {ok, _Expected}, Value) -> [old];
fault(Value, error, Value) -> [left];
fault({ok, _Own}, _Expected, _Foreign) -> [].

parameters(File) ->
    {ok, [Entries]} = file:consult(File),
    maps:from_list([{{Application, Key}, Value} || {Application, Parameters} <- Entries, {Key, Value} <- Parameters]).

%% ---- meter: what an install does to processes
%%
%% The release handler suspends, migrates and resumes processes by calls of sys, one after the other, in
%% its own process. The meter traces these calls of that process alone, so an app's own calls cost nothing.
%% A process counts as suspended from the answer to `suspend` until the answer to `resume`. The longest
%% queue is a sample, taken about each millisecond. A process that has one tracer cannot have another:
%% where somebody traces the release handler already, nothing is measured.

start_meter() ->
    {Meter, Monitor} = spawn_monitor(?MODULE, meter, [self(), whereis(release_handler)]),
    receive
        {Meter, ready} -> {Meter, Monitor};
        {'DOWN', Monitor, process, Meter, _Unmeasured} -> none
    end.

stop_meter(none) ->
    unmeasured;
stop_meter({Meter, Monitor}) ->
    Meter ! {stop, self()},
    receive
        {Meter, Reading} -> erlang:demonitor(Monitor, [flush]), Reading;
        {'DOWN', Monitor, process, Meter, _Unmeasured} -> unmeasured
    end.

meter(Owner, Handler) ->
    process_flag(priority, high),
    Watch = erlang:monitor(process, Owner),
    try erlang:trace(Handler, true, [call, monotonic_timestamp])
    catch error:_NoHandlerOrTracedAlready -> exit(unmeasured)
    end,
    trace([{'_', [], [{exception_trace}]}]),
    Owner ! {self(), ready},
    Begin = erlang:monotonic_time(),
    Start = #{owner => Owner, watch => Watch, handler => Handler, call => none, suspended => #{},
              processes => 0, longest_suspend => 0, code_changes => 0, code_change_time => 0,
              longest_code_change => 0, longest_queue => 0, passed_over => []},
    Reading = try meter(Start) after trace(false) end,
    Owner ! {self(), Reading#{took => micros(erlang:monotonic_time() - Begin)}}.

trace(What) ->
    [erlang:trace_pattern(Function, What, [global])
     || Function <- [{sys, suspend, 1}, {sys, suspend, 2}, {sys, resume, 1},
                     {sys, change_code, 4}, {sys, change_code, 5}]].

meter(State = #{owner := Owner, watch := Watch, handler := Handler, suspended := Suspended}) ->
    receive
        {trace_ts, Handler, call, {sys, Function, [Process | _]}, At} ->
            meter(sampled(State#{call := {Function, Process, At}}));
        {trace_ts, Handler, return_from, _Function, Answer, At} ->
            meter(answered(maps:get(call, State), Answer, At, State));
        {trace_ts, Handler, exception_from, _Function, {_Class, Reason}, At} ->
            meter(refused(maps:get(call, State), Reason, At, State));
        {stop, Owner} ->
            %% What the handler has done until now is on its way here.
            Delivered = erlang:trace_delivered(Handler),
            meter(State#{owner := Delivered});
        {trace_delivered, Handler, Owner} ->
            maps:without([owner, watch, handler, call, suspended], State);
        {'DOWN', Watch, process, _Owner, Reason} ->
            exit(Reason)
    after case map_size(Suspended) of 0 -> infinity; _ -> 1 end ->
        meter(sampled(State))
    end.

answered({suspend, Process, _}, _Ok, At, State = #{suspended := Suspended, processes := Processes}) ->
    case Suspended of
        #{Process := _Since} -> State;
        #{} -> State#{suspended := Suspended#{Process => At}, processes := Processes + 1}
    end;
answered({resume, Process, _}, _Ok, At, State = #{suspended := Suspended, longest_suspend := Longest}) ->
    case maps:take(Process, Suspended) of
        {Since, Others} ->
            State#{suspended := Others, longest_suspend := max(Longest, micros(At - Since))};
        error ->
            State
    end;
answered({change_code, _Process, Since}, _Answer, At, State) ->
    #{code_changes := Calls, code_change_time := Time, longest_code_change := Longest} = State,
    Took = micros(At - Since),
    State#{code_changes := Calls + 1, code_change_time := Time + Took, longest_code_change := max(Longest, Took)};
answered(none, _Answer, _At, State) ->
    State.

%% OTP passes over a process that does not suspend in time, without a word: it meets the new code with
%% its old state. One that has just ended is no loss.
refused({suspend, Process, _}, {timeout, _}, _At, State = #{passed_over := PassedOver}) ->
    State#{passed_over := lists:sublist([printed(named(Process)) | PassedOver], ?LISTED)};
refused({change_code, _, _} = Call, Reason, At, State) ->
    answered(Call, Reason, At, State);
refused({resume, _, _} = Call, Reason, At, State) ->
    answered(Call, Reason, At, State);
refused(_Call, _Reason, _At, State) ->
    State.

sampled(State = #{suspended := Suspended, longest_queue := Longest}) ->
    Queues = [Length || Process <- lists:sublist(maps:keys(Suspended), ?SAMPLED), is_pid(Process),
                        {message_queue_len, Length} <- [erlang:process_info(Process, message_queue_len)]],
    State#{longest_queue := lists:max([Longest | Queues])}.

micros(Native) ->
    erlang:convert_time_unit(Native, native, microsecond).

facts(Nonce) ->
    #{boot => Nonce,
      os_pid => list_to_integer(os:getpid()),
      otp => list_to_binary(erlang:system_info(otp_release)),
      erts => list_to_binary(erlang:system_info(version)),
      root => unicode:characters_to_binary(code:root_dir()),
      script => init:script_id(),
      phase => element(1, init:get_status()),
      handler => whereis(release_handler) =/= undefined,
      unfinished => unfinished(),
      loaded => [{Application, Version} || {Application, _, Version} <- application:loaded_applications()],
      running => [Application || {Application, _, _} <- application:which_applications()]}.

%% The version of the last install, unless that succeeded: the environment may be this version's.
unfinished() ->
    Number = make_ref(),
    ?MODULE ! {tell_unfinished, {self(), Number}},
    receive {reply, Number, Version} -> Version end.

loaded_md5(Module) ->
    case erlang:module_loaded(Module) of
        true -> erlang:get_module_info(Module, md5);
        false -> not_loaded
    end.

beam(File) ->
    case beam_lib:md5(File) of
        {ok, {Module, Md5}} -> {Module, Md5};
        {error, beam_lib, Reason} -> {unreadable, list_to_binary(filename:basename(File)), element(1, Reason)}
    end.

%% Supervised processes of these modules that do not answer a system message, or do not run. The
%% children of one supervisor are asked side by side, so the whole takes little more than Patience.
unanswering(Modules, Patience) ->
    Processes = lists:append([supervised(Application) || {Application, _, _} <- application:which_applications()]),
    Asked = [{Name, Pid} || {Name, Pid, Of} <- Processes, is_list(Of), Of -- Modules =/= Of],
    Monitors = [{Name, spawn_monitor(fun() -> exit({answer, ask(Pid, Patience)}) end)} || {Name, Pid} <- Asked],
    Answers = [{Name, receive {'DOWN', Monitor, process, Worker, {answer, Answer}} -> Answer end}
               || {Name, {Worker, Monitor}} <- Monitors],
    {length(Answers), [{printed(Name), printed(Answer)} || {Name, Answer} <- Answers, Answer =/= running]}.

ask(Pid, Patience) ->
    try sys:get_status(Pid, Patience) of
        {status, _, _, [_Dictionary, SystemState | _]} -> SystemState
    catch
        exit:{Reason, _} -> Reason;
        _:Reason -> Reason
    end.

%% The way to an application's top supervisor that the release handler itself takes;
%% application:get_supervisor/1 is there from OTP 26 on only.
supervised(Application) ->
    case application_controller:get_master(Application) of
        Master when is_pid(Master) ->
            {Supervisor, _Module} = application_master:get_child(Master),
            descendants(Supervisor);
        undefined ->
            []
    end.

descendants(Supervisor) ->
    try supervisor:which_children(Supervisor) of
        Children -> lists:append([descendant(Child) || Child <- Children])
    catch
        _:_ -> []
    end.

descendant({_Name, Pid, supervisor, _Modules}) when is_pid(Pid) -> descendants(Pid);
descendant({Name, Pid, worker, Modules}) when is_pid(Pid) -> [{Name, Pid, Modules}];
descendant(_NotStarted) -> [].

printed(Term) ->
    unicode:characters_to_binary(io_lib:format("~0tP", [Term, 20])).
